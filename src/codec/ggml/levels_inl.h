// The kernels under the fit of GGUF types, written once over the sixteen lanes of a lanes_*.h. In the searches a lane
// is a candidate, so that sixteen candidates are judged in one walk over a group, with no sum across lanes. Groups have
// a multiple of 16 weights. Nearest level: docs/formats/gguf.md, "Writing".
#pragma once
#include "codec/variant.h"

namespace strata::codec {
namespace {

/// The level nearest to x: an integer of the range, half to even, or a level of the table, the lower one when half way.
template <bool kTable>
inline Floats nearest_level(const Levels& levels, Floats x) {
  if constexpr (!kTable) return round_even(min(max(x, all(levels.lowest)), all(levels.highest)));
  Floats level = all(kIq4Levels[0]);
  for (std::size_t k = 1; k < 16; ++k)
    level = level + select(all(0.5f * (kIq4Levels[k - 1] + kIq4Levels[k])) < x, all(kIq4Levels[k] - kIq4Levels[k - 1]),
                           all(0.0f));
  return level;
}

inline float reciprocal(float scale) { return scale == 0.0f ? 0.0f : 1.0f / scale; }

struct LevelFit {
  Floats scale, min, error;
};

template <bool kTable>
inline Floats level_errors(const float* weights, const float* importance, std::size_t count, const Levels& levels,
                           Floats scale, Floats min_) {
  const Mask negative = (scale < all(0.0f));
  const Mask positive = (all(0.0f) < scale);
  const Floats safe = select(negative, scale, select(positive, scale, all(1.0f)));
  const Floats inverse = select(negative, all(1.0f) / safe, select(positive, all(1.0f) / safe, all(0.0f)));
  Floats sum = all(0.0f);
  for (std::size_t i = 0; i < count; ++i) {
    const Floats w = all(weights[i]) + min_;
    const Floats q = nearest_level<kTable>(levels, w * inverse);
    const Floats d = w - q * scale;
    sum = sum + all(importance[i]) * d * d;
  }
  return sum;
}

/// Least squares of scale and min for the codes of each lane; a min that the type has not, or of the wrong sign, is 0.
template <bool kTable>
inline void refit_levels(const float* weights, const float* importance, std::size_t count, const Levels& levels,
                         MinSign sign, LevelFit& fit) {
  const Floats inverse = all(1.0f) / fit.scale;
  Floats h_sum = all(0.0f), hw = all(0.0f), hq = all(0.0f), hqw = all(0.0f), hqq = all(0.0f);
  for (std::size_t i = 0; i < count; ++i) {
    const Floats w = all(weights[i]), h = all(importance[i]);
    const Floats q = nearest_level<kTable>(levels, (w + fit.min) * inverse), weighted = h * q;
    hqw = hqw + weighted * w;
    hqq = hqq + weighted * q;
    if (sign != MinSign::none) {
      h_sum = h_sum + h;
      hw = hw + h * w;
      hq = hq + weighted;
    }
  }
  const Floats alone = hqw / hqq;
  fit.scale = alone;
  if (sign == MinSign::none) return;
  const Floats determinant = h_sum * hqq - hq * hq;
  const Floats scale = (h_sum * hqw - hq * hw) / determinant;
  const Floats offset = (hq * hqw - hqq * hw) / determinant;
  const Mask usable = sign == MinSign::both ? (all(-3e38f) < offset) : (all(0.0f) < offset);
  fit.scale = select(usable, scale, alone);
  fit.min = select(usable, offset, all(0.0f));
}

template <bool kTable>
inline void try_levels(const float* weights, const float* importance, std::size_t count, const Levels& levels,
                       MinSign sign, LevelFit candidate, LevelFit& best) {
  for (int round = 0; round < 2; ++round) refit_levels<kTable>(weights, importance, count, levels, sign, candidate);
  candidate.error = level_errors<kTable>(weights, importance, count, levels, candidate.scale, candidate.min);
  const Mask better = candidate.error < best.error;
  best.scale = select(better, candidate.scale, best.scale);
  best.min = select(better, candidate.min, best.min);
  best.error = min(candidate.error, best.error);
}

inline LevelChoice best_of(const LevelFit& fit) {
  float errors[kLanes], scales[kLanes], mins[kLanes];
  store(errors, fit.error);
  store(scales, fit.scale);
  store(mins, fit.min);
  std::size_t chosen = 0;
  for (std::size_t k = 1; k < kLanes; ++k)
    if (errors[k] < errors[chosen]) chosen = k;
  return {scales[chosen], mins[chosen]};
}

template <bool kTable>
inline LevelChoice search_levels_of(const float* weights, const float* importance, std::size_t count,
                                    const Levels& levels, MinSign sign) {
  float low = sign == MinSign::both ? weights[0] : 0.0f, high = low;
  for (std::size_t i = 0; i < count; ++i) {
    low = weights[i] < low ? weights[i] : low;
    high = weights[i] > high ? weights[i] : high;
  }
  if (!(low < high)) return {0.0f, -low};
  LevelFit best{all(0.0f), all(0.0f), all(3e38f)};
  const float step = levels.narrowest;
  if (sign == MinSign::none) {
    // Shares of the largest magnitude, from a little above 1 downwards, for both signs of the scale.
    const float most = high > -low ? high : -low;
    float shares[kLanes];
    for (std::size_t k = 0; k < kLanes; ++k)
      shares[k] = 1.06f - (1.06f - step) * static_cast<float>(k) / static_cast<float>(kLanes - 1);
    const Floats scale = load(shares) * all(most / -levels.lowest);
    try_levels<kTable>(weights, importance, count, levels, sign, {scale, all(0.0f), all(0.0f)}, best);
    try_levels<kTable>(weights, importance, count, levels, sign, {all(0.0f) - scale, all(0.0f), all(0.0f)}, best);
  } else {
    // Both ends move inwards on their own: four places of each, and the places between.
    const float middle = sign == MinSign::both ? 0.5f * (low + high) : 0.0f, shift = (1.02f - step) / 3.5f;
    for (int wave = 0; wave < 2; ++wave) {
      const float half = 0.5f * static_cast<float>(wave);
      float scales[kLanes], mins[kLanes];
      for (std::size_t k = 0; k < kLanes; ++k) {
        const float a = 1.02f - shift * (static_cast<float>(k % 4) + half);
        const float b = 1.02f - shift * (static_cast<float>(k / 4) + half);
        const float from = middle + (low - middle) * a, to = middle + (high - middle) * b;
        scales[k] = (to - from) / (levels.highest - levels.lowest);
        mins[k] = -from;
      }
      try_levels<kTable>(weights, importance, count, levels, sign, {load(scales), load(mins), all(0.0f)}, best);
    }
  }
  const LevelChoice chosen = best_of(best);
  if (sign != MinSign::both) return chosen;
  // A second search around the best, by parts of a level.
  float scales[kLanes], mins[kLanes];
  for (std::size_t k = 0; k < kLanes; ++k) {
    scales[k] = chosen.scale * (1.0f + 0.01f * (static_cast<float>(k % 4) - 1.5f));
    mins[k] = chosen.min + chosen.scale * 0.3f * (static_cast<float>(k / 4) - 1.5f);
  }
  try_levels<kTable>(weights, importance, count, levels, sign, {load(scales), load(mins), all(0.0f)}, best);
  return best_of(best);
}

LevelChoice search_levels(const float* weights, const float* importance, std::size_t count, Levels levels,
                          MinSign sign) {
  return levels.table ? search_levels_of<true>(weights, importance, count, levels, sign)
                      : search_levels_of<false>(weights, importance, count, levels, sign);
}

void errors_of_levels(const float* weights, const float* importance, std::size_t count, Levels levels,
                      const float* scales, const float* mins, float* errors) {
  const Floats scale = load(scales), min_ = load(mins);
  store(errors, levels.table ? level_errors<true>(weights, importance, count, levels, scale, min_)
                             : level_errors<false>(weights, importance, count, levels, scale, min_));
}

/// Here a lane is a weight; the lanes are added in their order at the end.
template <bool kTable>
inline LevelMoments moments_of(const float* weights, const float* importance, std::size_t count, const Levels& levels,
                               float scale, float min_) {
  const Floats inverse = all(reciprocal(scale));
  Floats sums[5] = {all(0.0f), all(0.0f), all(0.0f), all(0.0f), all(0.0f)};
  for (std::size_t i = 0; i < count; i += kLanes) {
    const Floats w = load(weights + i), h = load(importance + i);
    const Floats q = nearest_level<kTable>(levels, (w + all(min_)) * inverse), weighted = h * q;
    sums[0] = sums[0] + weighted * q;
    sums[1] = sums[1] + weighted;
    sums[2] = sums[2] + h;
    sums[3] = sums[3] + weighted * w;
    sums[4] = sums[4] + h * w;
  }
  double totals[5] = {};
  for (std::size_t k = 0; k < 5; ++k) {
    float lanes[kLanes];
    store(lanes, sums[k]);
    for (std::size_t i = 0; i < kLanes; ++i) totals[k] += static_cast<double>(lanes[i]);
  }
  return {totals[0], totals[1], totals[2], totals[3], totals[4]};
}

LevelMoments moments_of_levels(const float* weights, const float* importance, std::size_t count, Levels levels,
                               float scale, float min_) {
  return levels.table ? moments_of<true>(weights, importance, count, levels, scale, min_)
                      : moments_of<false>(weights, importance, count, levels, scale, min_);
}

void round_levels(const float* weights, std::size_t count, Levels levels, float scale, float min_,
                  std::uint8_t* codes) {
  const Floats inverse = all(reciprocal(scale)), add = all(min_);
  const Floats magic = all(12582912.0f - levels.lowest);
  for (std::size_t i = 0; i < count; i += kLanes) {
    const Floats x = (load(weights + i) + add) * inverse;
    if (!levels.table) {
      store_bytes(codes + i, bits_of(nearest_level<false>(levels, x) + magic));
      continue;
    }
    Floats index = all(8388608.0f);
    for (std::size_t k = 1; k < 16; ++k)
      index = index + select(all(0.5f * (kIq4Levels[k - 1] + kIq4Levels[k])) < x, all(1.0f), all(0.0f));
    store_bytes(codes + i, bits_of(index));
  }
}

}  // namespace
}  // namespace strata::codec
