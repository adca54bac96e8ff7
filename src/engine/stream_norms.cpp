// A norm that a block does not have does nothing, so that what calls it need not know which norms there are.
#include "engine/stream_norms.h"

#include <algorithm>

#include "engine/norms.h"

namespace strata::engine {

using model::Norm;

StreamNorms::StreamNorms(const model::Model& model, std::size_t block)
    : architecture_(model.architecture()), weights_(model.norms(model::kStreamNorms, block)) {}

void StreamNorms::run(Norm norm, const std::vector<float>& x, std::vector<float>& y) const {
  y.resize(x.size());
  if (const auto it = weights_.find(norm); it != weights_.end())
    norm_rows(architecture_, x.data(), it->second.data(), x.size() / architecture_.hidden, y.data());
  else
    std::copy(x.begin(), x.end(), y.begin());
}

std::vector<float> StreamNorms::made(Norm norm, const std::vector<float>& x) const {
  std::vector<float> y;
  run(norm, x, y);
  return y;
}

void StreamNorms::backward(Norm norm, const std::vector<float>& x, std::vector<float>& dy) {
  const auto it = weights_.find(norm);
  if (it == weights_.end()) return;
  const std::size_t tokens = x.size() / architecture_.hidden;
  if (slopes_ != nullptr) {
    std::vector<float>& slope = (*slopes_)[norm];
    slope.assign(it->second.size(), 0.0f);
    norm_rows_weight_gradient(architecture_, x.data(), dy.data(), tokens, slope.data());
  }
  norm_rows_gradient(architecture_, x.data(), it->second.data(), dy.data(), tokens, dy.data());
}

}  // namespace strata::engine
