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

/// The least of sixteen, by halves.
template <class Number>
inline Number least_of(Number* v) {
  for (std::size_t half = kLanes / 2; half > 0; half /= 2)
    for (std::size_t k = 0; k < half; ++k) v[k] = v[k + half] < v[k] ? v[k + half] : v[k];
  return v[0];
}

std::size_t lowest_point(const GridCosts& costs, std::size_t count, float ratio) {
  // Two runs of points side by side, so that one need not wait for the other; `least` holds no NaN.
  const Floats r = all(ratio), step = all(2.0f);
  Floats least[2] = {all(3e38f), all(3e38f)}, index[2] = {all(0.0f), all(0.0f)}, here[2] = {all(0.0f), all(1.0f)};
  for (std::size_t p = 0; p < count; p += 2 * kLanes)
    for (std::size_t run = 0; run < 2; ++run) {
      const std::size_t at = p + run * kLanes;
      const Floats value = load(costs.square + at) - r * load(costs.cross + at);
      index[run] = select(value < least[run], here[run], index[run]);
      least[run] = min(value, least[run]);
      here[run] = here[run] + step;
    }
  float copy[kLanes], runs[2][kLanes];
  store(copy, min(least[1], least[0]));
  const Floats lowest = all(least_of(copy));
  std::size_t first[kLanes];
  for (std::size_t run = 0; run < 2; ++run) store(runs[run], select(lowest < least[run], all(65536.0f), index[run]));
  for (std::size_t k = 0; k < kLanes; ++k) {
    const float run = runs[1][k] < runs[0][k] ? runs[1][k] : runs[0][k];
    first[k] = static_cast<std::size_t>(static_cast<std::int32_t>(run)) * kLanes + k;
  }
  return least_of(first);
}

inline Floats least_costs(const Hull& hull, Floats scale) {
  Floats least = all(3e38f);
  for (std::size_t k = 0; k < hull.count; ++k) {
    const Floats x = all(hull.cross[k]);
    least = min(scale * (scale * all(hull.square[k]) - (x + x)), least);
  }
  return least;
}

void costs_at_scales(const Hull* hulls, const std::uint8_t* parts, std::size_t vectors, const float* scales,
                     float* costs) {
  const Floats scale = load(scales);
  Floats sum = all(0.0f);
  for (std::size_t v = 0; v < vectors; hulls += parts[v++]) {
    Floats cost = least_costs(hulls[0], scale);
    if (parts[v] > 1) {
      const Floats second = least_costs(hulls[1], scale);
      if (parts[v] == 4)
        cost = min(least_costs(hulls[2], scale) + second, cost + least_costs(hulls[3], scale));
      else
        cost = cost + second;
    }
    sum = sum + cost;
  }
  store(costs, sum);
}

}  // namespace
}  // namespace strata::codec
