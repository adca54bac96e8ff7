// The forward pass of every family: a batch of sequences, or a few tokens on top of a cache, observed at named sites.
// Guards that make an engine do more than run are in engine/modes.h.
#pragma once
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "engine/batch.h"
#include "engine/block_weights.h"
#include "engine/embedding.h"
#include "engine/experts.h"
#include "engine/residency.h"
#include "engine/site.h"
#include "kernel/matmul.h"
#include "model/model.h"

namespace strata::engine {

struct CacheUse;
struct DeltaRows;
struct Record;

class Engine {
 public:
  explicit Engine(const model::Model& model, kernel::Precision precision = kernel::Precision::f32,
                  Residency residency = Residency::fitting);

  const model::Architecture& architecture() const { return architecture_; }
  const model::Model& model() const { return model_; }
  kernel::Precision precision() const { return precision_; }

  Batch make_batch(std::span<const Sequence> sequences) const;
  /// What the first block reads, h: (tokens, hidden), of one sequence whose first token stands at `first`, or of a
  /// batch. Throws what Embedding::look_up throws.
  void embed(std::span<const Token> tokens, float* h, std::size_t first = 0) const;
  void embed(const Batch& batch, std::span<const Token> tokens, float* h) const;
  /// h: (batch.tokens, hidden), replaced by the block's output. With caches, their rows for this block are appended.
  void run_block(std::size_t block, const Batch& batch, float* h, const Observer* observer = nullptr);
  /// The halves of run_block: each adds to h what it makes of `from`, both (tokens, hidden). `from` is h itself, or the
  /// block's input for a half that reads_input(). last: a site of this half; the half ends there and leaves h as it
  /// was. With block_out the half runs to its end.
  void attend(std::size_t block, const Batch& batch, const float* from, float* h, const Observer* observer,
              Site last = Site::block_out);
  void feed_forward(std::size_t block, const Batch& batch, const float* from, float* h, const Observer* observer,
                    Site last = Site::block_out);
  void run_half(Half half, std::size_t block, const Batch& batch, const float* from, float* h, const Observer* observer,
                Site last = Site::block_out);
  /// Ends a half of a dense block: adds to h (tokens, hidden) what o or down makes of `rows` (tokens, cols), its input.
  void add_output(std::size_t block, Half half, const float* rows, std::size_t tokens, float* h);
  /// Final norm and lm_head for `rows` rows of the last block's output: logits (rows, vocab). h is left as it is.
  void logits(const float* h, std::size_t rows, float* out, const Observer* observer = nullptr);
  /// logits(h) - logits(h0) for `rows` rows each, made from what changed as products are under Following.
  void logits_change(const float* h, const float* h0, std::size_t rows, float* out);
  /// embed and every block: the last block's output (tokens, hidden). Advances the caches.
  std::vector<float> forward(std::span<const Token> tokens, std::span<const Sequence> sequences,
                             const Observer* observer = nullptr);
  bool head_replaced() const;  ///< whether the head has other weights than the model's

 private:
  friend class Watching;
  friend class Recording;
  friend class Following;
  friend class Replacing;
  friend class RoundingInputs;
  friend class HoldingCache;
  friend class AlikeInBatches;
  friend class InBytes;
  friend struct MixerRow;
  static float* sized(std::vector<float>& buffer, std::size_t size);
  kernel::Weights embedding() const, head() const;
  BlockWeights& block_weights(std::size_t block);
  void release(std::size_t block);
  kernel::Weights weights_of(BlockWeights& weights, std::size_t index);
  /// y (tokens, rows) = x times linear `index` of Architecture::linears, plus its bias.
  void multiply(BlockWeights& weights, std::size_t index, const float* x, std::size_t tokens, float* y);
  /// x (tokens, cols) as linear `index` reads it, valid until the next call; x itself where reads() does not round.
  const float* as_read(std::size_t index, const float* x, std::size_t tokens);
  codec::ActivationRounding reads(std::size_t index) const;
  /// y = x w^T; of a single token by way of 8 bits under InBytes.
  void product(const float* x, std::size_t tokens, const kernel::Weights& w, float* y) const;
  /// multiply() under Following; false when the linear was not recorded for as many tokens.
  bool multiply_change(std::size_t index, const kernel::Weights& weights, const float* x, std::size_t tokens, float* y);
  /// A norm of x (tokens, hidden), valid until the next call; x itself where the block has no such norm.
  const float* normed(const BlockWeights& weights, model::Norm norm, const float* x, std::size_t tokens);
  /// The products of a matrix that holds several, (tokens, rows), valid until the next call.
  const float* multiply_fused(BlockWeights& weights, std::size_t index, const float* x, std::size_t tokens);
  /// What o reads, (tokens, mixed_size), valid until the next call; nullptr when the pass ended at `last`, a site
  /// within the mixer. x: the normed input, (tokens, hidden).
  using Mix = const float*(BlockWeights& weights, std::size_t block, const Batch& batch, const float* x,
                           const Observer* observer, Site last);
  /// One a kind of mixer, each in its file in mixers/.
  Mix mix_attention, mix_latent, mix_delta, mix_convolution, mix_mamba, mix_selective;
  struct LatentRows;  // of latent attention, as the next four
  const float* latent_queries(BlockWeights& weights, std::size_t block, const Batch& batch, const float* x,
                              const Observer* observer, Site last);
  void keep_latents(std::size_t block, const Batch& batch, const LatentRows& rows) const;
  void attend_expanded(BlockWeights& weights, std::size_t block, const Batch& batch, const LatentRows& rows);
  void attend_latents(BlockWeights& weights, std::size_t block, const Batch& batch, const LatentRows& rows);
  /// Fills rows with what a gated delta net's linears make of x.
  void read_delta(BlockWeights& weights, std::size_t block, const float* x, std::size_t tokens, DeltaRows& rows);
  void make_heads(BlockWeights& weights, std::size_t block, const float* x, std::size_t tokens);  // q_, k_ and v_
  /// Norm and rotary embedding of q or k, (tokens, heads * head_dim), in place.
  void prepare_heads(const BlockWeights& weights, std::size_t block, const Batch& batch, model::Norm norm,
                     std::size_t heads, float* rows) const;
  /// h += a half's output (tokens, hidden) after its norm and factor; `out` is used up.
  void add_half(const BlockWeights& weights, Half half, float* out, std::size_t tokens, float* h) const;
  /// gate, up and down of a dense block (kNoExpert) or of one expert on rows of up's size, into y, of down's. show is
  /// called with what down reads, (tokens, size). False when the pass ended at `last`.
  bool run_gated(BlockWeights& weights, std::size_t block, std::size_t expert, const float* x, std::size_t tokens,
                 float* y, const std::function<void(const float* rows, std::size_t size)>& show, Site last);
  /// Ends a block whose halves are added to h; in block_embedding.cpp. A pass that ends at `last` leaves h half done.
  void finish_block(BlockWeights& w, std::size_t block, const Batch& batch, float* h, const Observer*, Site last);
  /// Adds what the routed experts give to `out`, what the shared expert or the dense part gave. They read x, or what is
  /// made of h beside a dense part. False when the pass ended at `last`. In experts.cpp, as are those below.
  bool add_experts(BlockWeights& weights, std::size_t block, const float* x, const float* h, std::size_t tokens,
                   float* out, const Observer* observer, Site last);
  /// Adds the outputs of all routed experts to `out` (tokens, hidden). False when the pass ended at `last`.
  bool mix_experts(BlockWeights& weights, std::size_t block, ExpertInput input, std::size_t tokens, float* out,
                   const Observer* observer, Site last);
  /// Adds what they make of `rows` (tokens, expert_size) to `sum`, unless the pass ends at `last`.
  void run_experts(BlockWeights& weights, std::size_t block, std::span<const Share> shares, const float* rows,
                   std::size_t tokens, float* sum, Site last);
  /// One routed expert on `rows` rows, those of `call` first, which `watch` is shown unless it is nullptr.
  void run_expert(BlockWeights& w, ExpertRows call, std::size_t rows, float* y, const ExpertWatch* watch, Site last);
  void forget_expert(BlockWeights& weights, std::size_t block, std::size_t expert) const;

  const model::Model& model_;
  const model::Architecture& architecture_;
  kernel::Precision precision_;
  Residency residency_;
  Embedding embedding_;
  std::optional<model::LinearWeights> lm_head_;
  std::optional<BlockEmbeddingWeights> block_embedding_;
  std::vector<float> final_norm_, head_bias_;
  std::vector<std::optional<BlockWeights>> blocks_;
  std::vector<std::optional<Replacement>> replaced_;                  ///< by linear; set by Replacing
  Record* record_ = nullptr;                                          ///< set by Recording
  const Record* followed_ = nullptr;                                  ///< set by Following
  const ExpertWatch* watch_ = nullptr;                                ///< set by Watching
  const std::vector<codec::ActivationRounding>* rounding_ = nullptr;  ///< by linear; set by RoundingInputs
  std::size_t rounded_for_ = model::kNoLinear;                        ///< the linear that `rounded_` was made for
  CacheUse* cache_use_ = nullptr;                                     ///< set by HoldingCache
  bool alike_ = false, in_bytes_ = false;                             ///< set by AlikeInBatches; by InBytes
  // Buffers that grow to the largest batch so far.
  std::vector<float> change_, normed_, q_, k_, v_, gates_, attended_, gate_, up_, projected_, gathered_, expert_out_,
      fused_, router_in_, mixed_, rounded_;
};

}  // namespace strata::engine
