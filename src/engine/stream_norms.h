// The norms of one block that act on rows of the hidden size, while they may be learned: what they make, and the
// gradients by what they read and by what they multiply by.
#pragma once
#include <utility>
#include <vector>

#include "model/model.h"

namespace strata::engine {

class StreamNorms {
 public:
  /// By place, what a norm multiplies by, (hidden), and then as many biases where it has any.
  using Weights = model::NormWeights;

  /// Begins with the model's norms; its architecture must outlive this.
  StreamNorms(const model::Model& model, std::size_t block);

  const Weights& weights() const { return weights_; }
  void set(Weights weights) { weights_ = std::move(weights); }
  /// From now on gradients by weights are put there; nullptr: they are not made.
  void make_slopes(Weights* slopes) { slopes_ = slopes; }

  /// y = the norm of x (tokens, hidden), or x itself where the block has no such norm.
  void run(model::Norm norm, const std::vector<float>& x, std::vector<float>& y) const;
  std::vector<float> made(model::Norm norm, const std::vector<float>& x) const;
  /// dy, the gradient by what the norm of x puts out, becomes the gradient by x.
  void backward(model::Norm norm, const std::vector<float>& x, std::vector<float>& dy);

 private:
  const model::Architecture& architecture_;
  Weights weights_;
  Weights* slopes_ = nullptr;
};

}  // namespace strata::engine
