// A block with weights that are being learned: its forward pass, kept, and the gradients of a loss by its linears.
// Hand-written for what engine.cpp runs; tests compare the two, and the gradients with finite differences.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"

namespace strata::engine {

/// Empty when BlockGradient can run this block, else why not.
std::string why_no_gradient(const model::Architecture& architecture, std::size_t block);

class BlockGradient {
 public:
  /// The block's norms and biases are those of the engine's model; its linears come with every call. The engine must
  /// outlive this.
  BlockGradient(const Engine& engine, std::size_t block, kernel::Precision precision);

  /// The weights of the norms before attention and before the feed-forward part, (hidden) each.
  struct Norms {
    std::vector<float> attn, mlp;
  };
  const Norms& norms() const { return norms_; }
  /// Uses these instead of the model's.
  void set_norms(Norms norms) { norms_ = std::move(norms); }

  /// Weights of the block's linears in their order, (rows, cols) f32 each; they must outlive the backward pass.
  using Linears = std::vector<MatrixView>;

  /// Is shown what a gradient by linear i is made of, which is dy^T x: the gradient by its output (tokens, rows), and
  /// its input (tokens, cols). Called by backward, for every linear.
  using LinearWatch = std::function<void(std::size_t i, const std::vector<float>& dy, const std::vector<float>& x)>;
  void watch(LinearWatch watch) { watch_ = std::move(watch); }

  /// h: (batch.tokens, hidden), the block's input, kept until the backward pass; no caches. Returns the block's output
  /// (tokens, hidden), valid until the next call.
  const float* forward(const Batch& batch, const float* h, const Linears& linears);

  /// After forward with the same batch, h and linears. dout: (tokens, hidden), the gradient of a loss by the output.
  /// gradients[i] becomes that by linear i, (rows, cols), where wanted[i]; dh, unless null, that by the input.
  /// norms, unless null: become those by the norms' weights; dh must not be null then.
  void backward(const Batch& batch, const float* dout, const Linears& linears, const std::vector<bool>& wanted,
                std::vector<std::vector<float>>& gradients, float* dh, Norms* norms = nullptr);

 private:
  struct Pass;
  std::size_t at(model::Role role) const;
  void multiply(model::Role role, const Linears& linears, const std::vector<float>& x, std::vector<float>& y) const;
  /// dx (tokens, cols) += dy W, and the gradient dy^T x of a linear. dx may be null.
  void linear_gradient(model::Role role, const Pass& pass, const std::vector<float>& dy, const std::vector<float>& x,
                       float* dx);
  /// The norm of q or k, over each head or over all of them; rows (tokens, size).
  struct QkNorm {
    std::size_t rows, size;
  };
  QkNorm qk_norm(std::size_t tokens, std::size_t heads) const;
  void attention_backward(const Batch& batch, const Pass& pass, float* dh);
  void feed_forward_backward(const Pass& pass, float* dh);

  const model::Architecture& architecture_;
  std::size_t block_;
  kernel::Precision precision_;
  std::vector<std::vector<float>> biases_;
  Norms norms_;
  LinearWatch watch_;
  std::vector<float> q_norm_, k_norm_;

  // Of the last forward pass, (tokens, size) each. q_raw_, k_raw_: before their norms, kept under a norm of q and k
  // only.
  std::vector<float> h_, attn_in_, q_raw_, k_raw_, q_, k_, v_, attended_, middle_, mlp_in_, gate_, up_, acted_, out_;
  std::vector<float> turned_weights_, dx_;
};

}  // namespace strata::engine
