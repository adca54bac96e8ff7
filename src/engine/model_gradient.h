// A whole model under a loss at its logits: forward with the inputs of all blocks kept, and backward block by block,
// each of which is run again first. The weights are the model's own, turned into f32 a block at a time.
#pragma once
#include <functional>
#include <span>
#include <vector>

#include "engine/gradient.h"

namespace strata::engine {

/// Why ModelGradient cannot run a model; empty when it can.
std::string why_no_gradient(const model::Architecture& architecture);

/// Functions that are shown gradients while a backward pass runs. Their arguments are valid during the call only; what
/// has an empty function is not made.
struct GradientWatch {
  /// dy: the gradient of the loss by what the head puts out, (tokens, vocab); x: what it read, (tokens, hidden).
  std::function<void(const std::vector<float>& dy, const std::vector<float>& x)> head = {};
  /// Not called for experts to which no token of the batch is routed.
  std::function<void(std::size_t linear, const LinearRows& rows)> linears = {};
  std::function<void(const std::vector<float>& slope)> final_norm = {};
  std::function<void(std::size_t block, const BlockGradient::Norms& slopes)> norms = {};
  /// dh: the gradient by the rows that were looked up in the embedding, (tokens, hidden).
  std::function<void(const std::vector<float>& dh)> embedding = {};
};

/// Memory in bytes: one block's weights without its routed experts as f32, two of its matrices more, and 4 * tokens *
/// (hidden * blocks + vocab + 2 * shared_size); while a mixture runs, 4 * tokens * used * (hidden + 3 * intermediate)
/// besides.
class ModelGradient {
 public:
  /// The engine must outlive this; weights that are replaced in it are not seen here. Throws Error for a model that
  /// why_no_gradient refuses.
  ModelGradient(const Engine& engine, kernel::Precision precision);

  /// The norms that are used, by block, and the last one: at first the model's. They may be changed between calls; a
  /// block's norms may also be changed while GradientWatch::norms is called for the block.
  std::vector<BlockGradient::Norms>& norms() { return norms_; }
  std::vector<float>& final_norm() { return final_norm_; }

  /// Logits (tokens, vocab) of whole sequences without caches, valid until the next call. `between` is called after
  /// every block.
  std::vector<float>& forward(const Batch& batch, std::span<const Token> tokens, const std::function<void()>& between);
  /// Must follow forward with the same batch, after the caller has put the gradient of the loss by the logits in place
  /// of the logits. Runs from the head down and calls `between` after every block.
  void backward(const Batch& batch, const GradientWatch& watch, const std::function<void()>& between);

 private:
  const BlockGradient::Linears& linears(std::size_t block);
  BlockGradient block(std::size_t b) const;
  /// The batch with what blocks read beside hidden states, and with what their backward passes leave to each other.
  Batch with_sides(const Batch& batch);
  std::vector<float> head_backward(std::size_t tokens) const;
  /// Turns the gradient by what the first block reads into that by rows of the embedding.
  void undo_first_norm(const Batch& batch, std::vector<float>& dh) const;
  /// Takes the logits' cap and factor into logits_, which hold the gradient by the logits.
  void undo_cap(std::size_t tokens);

  const Engine& engine_;
  const model::Architecture& a_;
  kernel::Precision precision_;
  model::LinearWeights head_;
  std::vector<BlockGradient::Norms> norms_;
  std::vector<float> final_norm_, head_bias_;
  std::vector<std::vector<float>> inputs_;  ///< of every block, then the last block's output: (tokens, hidden)
  std::vector<float> normed_, logits_;
  std::vector<Token> ids_;
  std::vector<float> shared_, shared_gradient_;  ///< (tokens, Architecture::shared_size): keys and values, by blocks
  std::vector<float> embedded_gradient_;         ///< (tokens, hidden) where there is a BlockEmbedding
  std::vector<std::vector<float>> weights_;      ///< of the block that runs
  BlockGradient::Linears views_;
};

}  // namespace strata::engine
