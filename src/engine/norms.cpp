// Which kernels a kind of norm is made of.
#include "engine/norms.h"

#include <vector>

#include "kernel/gradients.h"
#include "kernel/ops.h"

namespace strata::engine {

using model::NormKind;

void norm_rows(const model::Architecture& a, const float* x, const float* weights, std::size_t rows, float* y) {
  const auto norm = a.norm_kind == NormKind::rms ? kernel::rms_norm : kernel::layer_norm;
  norm(x, weights, rows, a.hidden, a.norm_epsilon, y);
  if (a.norm_bias) kernel::add_bias(y, weights + a.hidden, rows, a.hidden);
}

void norm_rows_gradient(const model::Architecture& a, const float* x, const float* weights, const float* dy,
                        std::size_t rows, float* dx) {
  const auto gradient = a.norm_kind == NormKind::rms ? kernel::rms_norm_gradient : kernel::layer_norm_gradient;
  gradient(x, weights, dy, rows, a.hidden, a.norm_epsilon, dx);
}

void norm_rows_weight_gradient(const model::Architecture& a, const float* x, const float* dy, std::size_t rows,
                               float* dweights) {
  const auto gradient =
      a.norm_kind == NormKind::rms ? kernel::rms_norm_weight_gradient : kernel::layer_norm_weight_gradient;
  gradient(x, dy, rows, a.hidden, a.norm_epsilon, dweights);
  if (!a.norm_bias) return;
  std::vector<double> sums(a.hidden, 0.0);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t i = 0; i < a.hidden; ++i) sums[i] += static_cast<double>(dy[r * a.hidden + i]);
  for (std::size_t i = 0; i < a.hidden; ++i) dweights[a.hidden + i] += static_cast<float>(sums[i]);
}

}  // namespace strata::engine
