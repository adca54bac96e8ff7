// The kernels under the codebook types of GGUF, written once over the sixteen lanes of a lanes_*.h; a lane is a point.
// With s the scale, sum h (a - s g)^2 is sum h a a + s (s sum h g g - 2 sum h a g): the two sums serve every scale.
#pragma once
#include "codec/variant.h"

namespace strata::codec {
namespace {

template <std::size_t kDims, bool kOdd>
inline void costs_of(GridView grid, const float* magnitudes, const float* importance, GridCosts& costs) {
  for (std::size_t p = 0; p < grid.count; p += kLanes) {
    Floats cross = all(0.0f), square = all(0.0f), least = all(3e38f);
    for (std::size_t i = 0; i < kDims; ++i) {
      const Floats g = load(grid.levels + i * grid.count + p), weighted = all(importance[i]) * g;
      const Floats product = weighted * all(magnitudes[i]);
      cross = cross + product;
      square = square + weighted * g;
      if constexpr (kOdd) least = min(product, least);
    }
    if constexpr (kOdd) cross = cross - (least + least);
    store(costs.cross + p, cross);
    store(costs.square + p, square);
  }
}

void grid_costs(GridView grid, const float* magnitudes, const float* importance, bool odd, GridCosts& costs) {
  if (grid.dims == 8)
    odd ? costs_of<8, true>(grid, magnitudes, importance, costs)
        : costs_of<8, false>(grid, magnitudes, importance, costs);
  else
    odd ? costs_of<4, true>(grid, magnitudes, importance, costs)
        : costs_of<4, false>(grid, magnitudes, importance, costs);
}

std::size_t lowest_point(const GridCosts& costs, std::size_t count, float ratio) {
  Floats least = all(3e38f), index = all(0.0f), here = all(0.0f);
  const Floats r = all(ratio), step = all(1.0f);
  for (std::size_t p = 0; p < count; p += kLanes) {
    const Floats value = load(costs.square + p) - r * load(costs.cross + p);
    index = select(value < least, here, index);
    least = min(value, least);
    here = here + step;
  }
  float values[kLanes], runs[kLanes];
  store(values, least);
  store(runs, index);
  std::size_t best = 0;
  float best_value = 3e38f;
  for (std::size_t k = 0; k < kLanes; ++k) {
    const std::size_t p = static_cast<std::size_t>(runs[k]) * kLanes + k;
    if (values[k] < best_value || (values[k] == best_value && p < best)) {
      best_value = values[k];
      best = p;
    }
  }
  return best;
}

void costs_at_scales(const float* cross, const float* square, std::size_t count, const float* scales, float* costs) {
  const Floats s = load(scales);
  Floats least = all(3e38f);
  for (std::size_t k = 0; k < count; ++k) {
    const Floats x = all(cross[k]);
    least = min(s * (s * all(square[k]) - (x + x)), least);
  }
  store(costs, least);
}

}  // namespace
}  // namespace strata::codec
