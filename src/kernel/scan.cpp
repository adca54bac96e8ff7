// The decays of a chunk. Exponentials are taken of differences, never divided by each other: a state that forgets all
// within a chunk would make 0 / 0.
#include "kernel/scan.h"

namespace strata::kernel {
namespace {

/// Below exp(-80) = 2e-35 nothing is left: it would not show beside anything else, and products with subnormal numbers
/// are slow.
float logarithm(double sum) { return sum < -80.0 ? -1000.0f : static_cast<float>(sum); }

}  // namespace

void ChunkDecays::fill(const RowKernel& rows, const float* logarithms, std::size_t stride, std::size_t n) {
  double sums[kChunkTokens], sum = 0.0;
  for (std::size_t i = 0; i < n; ++i) sums[i] = sum += static_cast<double>(logarithms[i * stride]);
  for (std::size_t i = 0; i < n; ++i) {
    from_start[i] = logarithm(sums[i]);
    to_end[i] = logarithm(sum - sums[i]);
    for (std::size_t j = 0; j <= i; ++j) pairs[i * n + j] = logarithm(sums[i] - sums[j]);
    rows.exp_scaled(pairs + i * n, i + 1, 1.0f, 0.0f);
  }
  rows.exp_scaled(from_start, n, 1.0f, 0.0f);
  rows.exp_scaled(to_end, n, 1.0f, 0.0f);
}

}  // namespace strata::kernel
