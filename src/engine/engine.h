// The forward pass of every family: a batch of sequences, or a few tokens on top of a key-value cache. What happens
// between the operations can be observed at named sites; the engine knows none of the observers.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "engine/experts.h"
#include "kernel/matmul.h"
#include "model/model.h"

namespace strata::engine {

using Token = std::uint32_t;

/// Named points of the forward pass. q, k, v read attn_in; o reads o_in; gate, up read mlp_in; down reads down_in.
enum class Site { block_in, attn_in, o_in, mlp_in, down_in, block_out, logits };

/// Called with the rows (tokens, size) of all sequences in order; they are valid during the call only.
using Observer =
    std::function<void(Site site, std::size_t block, const float* rows, std::size_t tokens, std::size_t size)>;

/// The site a linear reads from.
Site input_site(model::Role role);
/// Whether the linear that reads from a site writes to the residual stream. Of a mixture no single one does.
bool ends_half(const model::Architecture& architecture, std::size_t block, Site site);

/// Keys and values of one sequence, (positions, kv_size) per block, after the rotary embedding.
struct KvCache {
  explicit KvCache(std::size_t blocks) : keys(blocks), values(blocks) {}
  std::vector<std::vector<float>> keys, values;
  std::size_t positions = 0;
};

/// A stretch of new tokens of one sequence. Without a cache it begins at position 0; with one, at cache->positions.
struct Sequence {
  std::size_t tokens;
  KvCache* cache = nullptr;
};

/// Where every row of a batch stands: made once, used by every block.
struct Batch {
  std::vector<Sequence> sequences;
  std::size_t tokens = 0;
  std::vector<float> cos, sin;  ///< (tokens, rope.dims / 2)
};

enum class Residency {
  all,        ///< dequantized weights are kept (mapped ones cost nothing either way)
  one_block,  ///< those of one block at a time, and its mapped pages; of a mixture those of one expert
};

/// What the linears of all blocks read and gave while the original ran on one batch. Memory in bytes: 4 * tokens * (the
/// rows of all linears + the columns of those that do not share their input with the one before).
struct Recording {
  std::vector<std::vector<float>> inputs;  ///< by linear: (tokens, cols); empty when it reads what the one before reads
  std::vector<std::vector<float>> outputs;  ///< by linear: (tokens, rows), bias included; empty when not recorded
};

class Engine {
 public:
  explicit Engine(const model::Model& model, kernel::Precision precision = kernel::Precision::f32,
                  Residency residency = Residency::all);

  const model::Architecture& architecture() const { return architecture_; }
  const model::Model& model() const { return model_; }

  Batch make_batch(std::span<const Sequence> sequences) const;
  /// h: (tokens, hidden). Throws Error for an id outside the vocabulary.
  void embed(std::span<const Token> tokens, float* h) const;
  /// h: (batch.tokens, hidden), replaced by the block's output. With caches, their rows for this block are appended.
  void run_block(std::size_t block, const Batch& batch, float* h, const Observer* observer = nullptr);
  /// The halves of run_block: h plus attention, then h plus feed-forward. last: a site of this half at which to end,
  /// which leaves h as it was; block_out is none.
  void attend(std::size_t block, const Batch& batch, float* h, const Observer* observer, Site last = Site::block_out);
  void feed_forward(std::size_t block, const Batch& batch, float* h, const Observer* observer,
                    Site last = Site::block_out);
  /// How a half of a dense block ends: h (tokens, hidden) += o or down of `rows` (tokens, cols), its input.
  void add_output(std::size_t block, model::Role role, const float* rows, std::size_t tokens, float* h);
  /// Who is shown the inputs of the experts from now on; null: nobody. It must outlive that.
  void watch_experts(const ExpertWatch* watch) { watch_ = watch; }
  /// Final norm and lm_head of `rows` rows of the last block's output: logits (rows, vocab). h is left as it is.
  void logits(const float* h, std::size_t rows, float* out, const Observer* observer = nullptr);
  /// embed and every block: the last block's output (tokens, hidden). Advances the caches.
  std::vector<float> forward(std::span<const Token> tokens, std::span<const Sequence> sequences,
                             const Observer* observer = nullptr);

  /// Uses other weights for a linear (index into Architecture::linears) until restored; they must outlive that.
  void replace(std::size_t linear, kernel::Weights weights) { replaced_[linear] = weights; }
  void restore(std::size_t linear) { replaced_[linear].reset(); }

  /// What the linears of the blocks read and give from now on is kept there, replacing what was; nullptr: no more.
  void record(Recording* recording);
  /// From now on, batches are those of the recording with changes. A recorded product of a linear that is not replaced
  /// is made from what changed, y + W (x' - x), with the difference rounded to bf16 and sums in f32: since rounding is
  /// relative to the change, that is as good as f32 throughout, at the speed of bf16. nullptr: no more.
  void follow(const Recording* recording) { followed_ = recording; }
  /// logits(h) - logits(h0) in the same way, for `rows` rows each.
  void logits_change(const float* h, const float* h0, std::size_t rows, float* out);
  /// Whether the head is the original's.
  bool head_replaced() const {
    const std::size_t head = architecture_.tied ? architecture_.embedding() : architecture_.lm_head();
    return head != model::kNoBlock && replaced_[head].has_value();
  }

 private:
  struct BlockWeights {
    std::size_t first;                                         ///< linear of the block
    std::vector<std::optional<model::LinearWeights>> linears;  ///< of the block; empty: not needed so far
    std::vector<std::vector<float>> biases;                    ///< empty where there is none
    std::vector<float> attn_norm, mlp_norm, q_norm, k_norm;
    std::optional<model::LinearWeights> router, shared_gate;  ///< of a mixture
    std::vector<float> correction;
  };
  kernel::Weights embedding() const;
  BlockWeights& block_weights(std::size_t block);
  void release(std::size_t block);
  /// y (tokens, rows) = x times linear `index` of Architecture::linears, plus its bias.
  void multiply(BlockWeights& weights, std::size_t index, const float* x, std::size_t tokens, float* y);
  void activate(float* gate, const float* up, std::size_t count) const;
  /// gate, up, down of a dense block, or of the shared expert; false when it ended at `last`.
  bool run_dense(BlockWeights& weights, std::size_t block, std::size_t expert, const float* x, std::size_t tokens,
                 float* y, const Observer* observer, Site last);
  /// experts.cpp: adds the outputs of all experts for x (tokens, hidden) to `out`.
  void mix_experts(BlockWeights& weights, std::size_t block, const float* x, std::size_t tokens, float* out, Site last);
  struct ExpertCall {
    std::size_t block, expert;
    bool routed;
    std::span<const std::uint32_t> tokens;
  };
  void run_expert(BlockWeights& weights, const ExpertCall& call, const float* x, float* y, const ExpertWatch* watch,
                  Site last);
  /// y (tokens, hidden) *= sigmoid(gate x).
  void scale_shared(const model::LinearWeights& gate, const float* x, std::size_t tokens, float* y) const;
  void forget_expert(BlockWeights& weights, std::size_t block, std::size_t expert) const;
  static float* sized(std::vector<float>& buffer, std::size_t size);
  /// The product of a recorded linear from what changed; false when it was not recorded for as many tokens.
  bool multiply_change(std::size_t index, const kernel::Weights& weights, const float* x, std::size_t tokens, float* y);

  const model::Model& model_;
  const model::Architecture& architecture_;
  kernel::Precision precision_;
  Residency residency_;
  model::LinearWeights embedding_;
  std::optional<model::LinearWeights> lm_head_;
  std::vector<float> final_norm_;
  std::vector<std::optional<BlockWeights>> blocks_;
  std::vector<std::optional<kernel::Weights>> replaced_;
  Recording* recording_ = nullptr;
  const Recording* followed_ = nullptr;
  const ExpertWatch* watch_ = nullptr;
  std::vector<float> change_, normed_, q_, k_, v_, attended_, gate_, up_, projected_, gathered_, expert_out_;
};

/// An engine's experts are watched while this lives.
class Watching {
 public:
  Watching(Engine& engine, const ExpertWatch* watch) : engine_(engine) { engine.watch_experts(watch); }
  ~Watching() { engine_.watch_experts(nullptr); }
  Watching(const Watching&) = delete;
  Watching& operator=(const Watching&) = delete;

 private:
  Engine& engine_;
};

}  // namespace strata::engine
