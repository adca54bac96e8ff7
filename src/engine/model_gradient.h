// A whole model under a loss at its logits: forward with the inputs of all blocks kept, and backward block by block,
// each run again first. The weights are the model's own, dense or stored, and turned into f32 a block at a time.
#pragma once
#include <functional>
#include <span>
#include <vector>

#include "engine/gradient.h"

namespace strata::engine {

/// Empty when ModelGradient can run every block, else why not.
std::string why_no_gradient(const model::Architecture& architecture);

/// Who is shown gradients while a backward pass runs, each valid during the call; what is empty is not made. dy: of the
/// loss by what a linear puts out, (tokens, rows); x: what it read, (tokens, cols).
struct GradientWatch {
  std::function<void(const std::vector<float>& dy, const std::vector<float>& x)> head = {};
  std::function<void(std::size_t linear, const std::vector<float>& dy, const std::vector<float>& x)> linears = {};
  std::function<void(const std::vector<float>& slope)> final_norm = {};
  std::function<void(std::size_t block, const BlockGradient::Norms& slopes)> norms = {};
  std::function<void(const std::vector<float>& dh)> embedding =
      {};  ///< by what the embedding puts out, (tokens, hidden)
};

/// Memory in bytes: one block's weights as f32, and 4 * tokens * (hidden * blocks + vocab) and some more.
class ModelGradient {
 public:
  /// The engine must outlive this; weights that are replaced in it are not seen here. Throws Error for a model that
  /// why_no_gradient refuses.
  ModelGradient(const Engine& engine, kernel::Precision precision);

  /// The norms that are used, by block, and the last one; at first the model's. They may be changed between calls, and
  /// those of a block while it is shown its slopes.
  std::vector<BlockGradient::Norms>& norms() { return norms_; }
  std::vector<float>& final_norm() { return final_norm_; }

  /// Logits (tokens, vocab) of whole sequences without caches, valid until the next call. `between` is called after
  /// every block, here and below.
  std::vector<float>& forward(const Batch& batch, std::span<const Token> tokens, const std::function<void()>& between);
  /// After forward with the same batch, whose logits hold the gradient of the loss by them now. From the head down.
  void backward(const Batch& batch, const GradientWatch& watch, const std::function<void()>& between);

 private:
  const BlockGradient::Linears& linears(std::size_t block);
  BlockGradient block(std::size_t b) const;
  std::vector<float> head_backward(std::size_t tokens) const;

  const Engine& engine_;
  const model::Architecture& a_;
  kernel::Precision precision_;
  model::LinearWeights head_;
  std::vector<BlockGradient::Norms> norms_;
  std::vector<float> final_norm_;
  std::vector<std::vector<float>> inputs_;  ///< of every block, then the last one's output: (tokens, hidden)
  std::vector<float> normed_, logits_;
  std::vector<std::vector<float>> weights_;  ///< of one block
  BlockGradient::Linears views_;
};

}  // namespace strata::engine
