// The forward pass of every dense family: a batch of sequences, or a few tokens on top of a key-value cache. What
// happens between the operations can be observed at named sites; the engine knows none of the observers.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

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
  std::vector<float> cos, sin;  ///< (tokens, head_dim / 2)
};

enum class Residency {
  all,        ///< dequantized weights are kept (mapped ones cost nothing either way)
  one_block,  ///< those of one block at a time
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
    std::vector<model::LinearWeights> linears;  ///< in the order of the block's linears
    std::vector<std::vector<float>> biases;     ///< empty where there is none
    std::vector<float> attn_norm, mlp_norm, q_norm, k_norm;
  };
  kernel::Weights embedding() const;
  const BlockWeights& block_weights(std::size_t block);
  void multiply(const BlockWeights& weights, std::size_t block, model::Role role, const float* x, std::size_t tokens,
                float* y);
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
  std::vector<float> change_, normed_, q_, k_, v_, attended_, gate_, up_, projected_;
};

}  // namespace strata::engine
