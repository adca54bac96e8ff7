// A block with weights that are being learned: its forward pass, kept, and the gradients of a loss by its linears.
// Hand-written for what engine.cpp runs; tests compare the two, and the gradients with finite differences.
#pragma once
#include <functional>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/mixers/attention_gradient.h"

namespace strata::engine {

/// Why BlockGradient cannot run this block; empty when it can.
std::string why_no_gradient(const model::Architecture& architecture, std::size_t block);

class BlockGradient {
 public:
  /// Norms and biases are read from the engine's model; the block's linears come with every call. The engine must
  /// outlive this.
  BlockGradient(const Engine& engine, std::size_t block, kernel::Precision precision);

  /// What the block's norms over the hidden size (model::kStreamNorms) multiply by, (hidden) each.
  using Norms = model::NormWeights;
  const Norms& norms() const { return norms_; }
  /// Uses these instead of the model's, by the same places.
  void set_norms(Norms norms) { norms_ = std::move(norms); }

  /// Weights of the block's linears in their order, (rows, cols) f32 each; they must outlive the backward pass.
  using Linears = std::vector<MatrixView>;

  /// Called by backward for every linear with the two factors of its gradient dy^T x: dy, the gradient by what linear i
  /// puts out, (tokens, rows), and x, what it read, (tokens, cols).
  using LinearWatch = std::function<void(std::size_t i, const std::vector<float>& dy, const std::vector<float>& x)>;
  void watch(LinearWatch watch) { watch_ = std::move(watch); }

  /// h: (batch.tokens, hidden), the block's input, of which a copy is kept until the backward pass. The batch must have
  /// no caches. Returns the block's output (tokens, hidden), valid until the next call.
  const float* forward(const Batch& batch, const float* h, const Linears& linears);

  /// Must follow forward with the same batch, h and linears. dout: (tokens, hidden), the gradient of a loss by the
  /// block's output. gradients[i] becomes the gradient by linear i, (rows, cols), where wanted[i]. dh, unless nullptr,
  /// becomes the gradient by the block's input. norms, unless nullptr, become the gradients by what the norms multiply
  /// by; dh must not be nullptr then.
  void backward(const Batch& batch, const float* dout, const Linears& linears, const std::vector<bool>& wanted,
                std::vector<std::vector<float>>& gradients, float* dh, Norms* norms = nullptr);

 private:
  struct Pass;
  /// One of the linears that read the same rows: its output, (tokens, rows), or the gradient by that.
  struct Part {
    model::Role role;
    std::vector<float>& y;
  };
  std::size_t at(model::Role role) const;
  void multiply(model::Role role, const Linears& linears, const std::vector<float>& x, std::vector<float>& y) const;
  /// The products of linears that read x, from their own matrices or from the one (`whole`) that holds all of them.
  void multiply(model::Role whole, std::initializer_list<Part> parts, const Linears& linears,
                const std::vector<float>& x) const;
  /// dx (tokens, cols) += dy W, and the gradient dy^T x of a linear. dx may be nullptr.
  void linear_gradient(model::Role role, const Pass& pass, const std::vector<float>& dy, const std::vector<float>& x,
                       float* dx);
  /// The same for linears that read x, or for the one that holds them.
  void linear_gradients(model::Role whole, std::initializer_list<Part> parts, const Pass& pass,
                        const std::vector<float>& x, float* dx);
  /// The model's weights of a norm of this block; nullptr when there is no such norm.
  const float* weights_of(model::Norm norm) const;
  /// y = the norm of x (tokens, hidden), or x itself.
  void run_norm(model::Norm norm, const std::vector<float>& x, std::vector<float>& y) const;
  /// dy, the gradient by what the norm of x puts out, becomes the gradient by x; the gradient by the norm is kept.
  void norm_backward(model::Norm norm, const Pass& pass, const std::vector<float>& x, std::vector<float>& dy) const;
  /// out = h + the half's output after its norm and factor. made: what o or down put out.
  void add_half(Half half, const std::vector<float>& made, const std::vector<float>& h, std::vector<float>& out) const;
  /// The gradient by what o or down put out, from that by the sum.
  std::vector<float> made_gradient(Half half, const Pass& pass, const std::vector<float>& made,
                                   const float* dsum) const;
  /// The gradient by what q, k and v read, from that by the residual stream after the half; empty unless the gradient
  /// by the block's input is wanted.
  std::vector<float> attention_backward(const Batch& batch, const Pass& pass, const float* dsum);
  /// The gradient by what gate and up read.
  std::vector<float> feed_forward_backward(const Pass& pass, const float* dsum);

  const model::Architecture& architecture_;
  std::size_t block_;
  kernel::Precision precision_;
  std::vector<std::vector<float>> biases_;
  Norms norms_;
  LinearWatch watch_;
  AttentionGradient attention_;

  // What the last forward pass made, (tokens, size) each. o_out_, down_out_ are what o and down put out; middle_ is the
  // residual stream between the halves.
  std::vector<float> h_, attn_in_, attended_, o_out_, middle_;
  std::vector<float> mlp_in_, gate_, up_, acted_, down_out_, out_;
  std::vector<float> turned_weights_, dx_;
};

}  // namespace strata::engine
