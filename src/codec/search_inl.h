// The scale search, written once over the sixteen lanes of a lanes_*.h. A lane is a candidate scale, so that the error
// of sixteen candidates is summed while walking a group once, weight by weight, with no sum across lanes.
//
// Integers: (1) candidates over the useful range of scales, of both signs where the codec allows; each lane keeps the
// best of its stretch of the range; (2) a least-squares refit of every lane's scale (and zero point) to its codes;
// (3) the fifteen stored scales around the best, and the min-max one, judged with the exact rounding of the codec.
// The min-max parameters win unless another is better by more than the sums' rounding, so the result is never worse.
#pragma once
#include "codec/bits_inl.h"
#include "codec/variant.h"

namespace strata::codec {
namespace {

/// Weights summed in one run: bounds the rounding of a sum to about (kRun + count / kRun) * 2^-24.
constexpr std::size_t kRun = 128;

inline Floats round_to_bf16(Floats a) {
  const Words bits = bits_of(a);
  const Words odd = shift_right<16>(bits) & all_words(1);
  return from_bits((bits + all_words(0x7FFFu) + odd) & all_words(0xFFFF0000u));
}

/// Calls step(i, partial sum) over the group and adds the partial sums of every run.
template <class Step>
inline Floats sum_in_runs(std::size_t count, Step step) {
  Floats total = all(0.0f);
  for (std::size_t start = 0; start < count; start += kRun) {
    const std::size_t end = count - start < kRun ? count : start + kRun;
    Floats sum = all(0.0f);
    for (std::size_t i = start; i < end; ++i) step(i, sum);
    total = total + sum;
  }
  return total;
}

/// True when `error` is below `incumbent` by more than both sums may have been rounded.
inline bool is_better(float error, float incumbent, std::size_t count) {
  const float slack = static_cast<float>((count < kRun ? count : kRun) + count / kRun + 8) * 0x1p-24f;
  return error * (1.0f + slack) + 1e-35f < incumbent * (1.0f - slack);
}

/// The lane of the smallest error below `limit` by more than rounding, else `incumbent`.
inline std::size_t best_lane(Floats errors, std::size_t incumbent, std::size_t count) {
  float error[kLanes];
  store(error, errors);
  std::size_t best = incumbent;
  for (std::size_t k = 0; k < kLanes; ++k)
    if (error[k] < error[best]) best = k;
  return is_better(error[best], error[incumbent], count) ? best : incumbent;
}

struct IntGroup {
  const float* weights;
  const float* importance;
  std::size_t count;
  Floats least, most;  // of q
};

struct IntCandidates {
  Floats scale, zero;
  Floats error;
};

/// Keeps in each lane of `best` the better candidate.
inline void keep_better(IntCandidates& best, const IntCandidates& other) {
  const Mask better = other.error < best.error;
  best.scale = select(better, other.scale, best.scale);
  best.zero = select(better, other.zero, best.zero);
  best.error = min(other.error, best.error);
}

/// q - zero_point, from weight / scale: exactly the codec's rounding when `quotient` is the correctly rounded one.
template <bool kZeroPoint>
inline Floats centred_code(const IntGroup& group, Floats quotient, Floats zero) {
  if constexpr (!kZeroPoint) return round_even(min(max(quotient, group.least), group.most));
  return round_even(min(max(quotient + zero, group.least), group.most)) - zero;
}

template <bool kZeroPoint, bool kExact>
inline Floats int_error(const IntGroup& group, Floats scale, Floats zero) {
  const Floats inverse = all(1.0f) / scale;
  return sum_in_runs(group.count, [&](std::size_t i, Floats& sum) {
    const Floats w = all(group.weights[i]);
    const Floats q = centred_code<kZeroPoint>(group, kExact ? w / scale : w * inverse, zero);
    const Floats d = subtract_exact_product(w, q, scale);  // 9 bits by 8
    sum = sum + all(group.importance[i]) * d * d;
  });
}

/// Least squares for fixed codes: the scale, or the scale and the nearest integer zero point with its own best scale.
/// With h the importance, q the centred codes and d = w - scale * q, w is fitted by scale' * q + offset.
template <bool kZeroPoint>
inline void refit(const IntGroup& group, IntCandidates& c) {
  Floats h_sum = all(0.0f), hd = all(0.0f), hq = all(0.0f), hqd = all(0.0f), hqq = all(0.0f);
  const Floats inverse = all(1.0f) / c.scale;
  for (std::size_t i = 0; i < group.count; ++i) {
    const Floats w = all(group.weights[i]), h = all(group.importance[i]);
    const Floats q = centred_code<kZeroPoint>(group, w * inverse, c.zero);
    const Floats d = subtract_exact_product(w, q, c.scale), weighted = h * q;
    hqd = hqd + weighted * d;
    hqq = hqq + weighted * q;
    if constexpr (kZeroPoint) {
      h_sum = h_sum + h;
      hd = hd + h * d;
      hq = hq + weighted;
    }
  }
  if constexpr (!kZeroPoint) {
    c.scale = round_to_bf16(c.scale + hqd / hqq);
    return;
  }
  const Floats determinant = h_sum * hqq - hq * hq;
  const Floats change = (h_sum * hqd - hq * hd) / determinant;
  const Floats offset = (hqq * hd - hq * hqd) / determinant;
  const Floats moved = c.zero - offset / (c.scale + change);
  const Floats zero = round_even(min(max(moved, group.least), group.most));
  const Floats shift = c.zero - zero;  // the codes stay, so the centred codes become q + shift
  const Floats products = hqd + shift * hd + c.scale * (hqq + shift * hq);
  const Floats squares = hqq + all(2.0f) * shift * hq + shift * shift * h_sum;
  c.scale = round_to_bf16(products / squares);
  c.zero = zero;
}

/// Scales from `low` to `high`, spaced by their bits and so nearly geometric, as bf16. Lane k of vector v is number
/// k * vectors + v of them, which gives each lane a stretch of the range.
inline Floats spread_scales(float low, float high, std::uint32_t vectors, std::uint32_t v) {
  const Words first = bits_of(all(low));
  const std::uint32_t steps = static_cast<std::uint32_t>(kLanes) * vectors - 1;
  const Words step = all_words((bits_of_float(high) - bits_of_float(low)) / steps);
  const Words number = lane_numbers() * all_words(vectors) + all_words(v);
  return round_to_bf16(from_bits(first + number * step));
}

/// Where the best scale is looked for, as a multiple of the min-max scale, and at least down to a share of the weights'
/// root mean square: below the step that is best for a Gaussian (Max 1960), which no heavier tail undercuts.
struct ScaleRange {
  float low, high;
};
inline ScaleRange scale_range(const IntGroup& group, unsigned bits, float minmax) {
  struct Rule {
    float share_of_minmax, share_of_rms;
  };
  constexpr Rule kRules[9] = {{},          {},           {.25f, .75f},  {.4f, .44f},  {.5f, .25f},
                              {.7f, .14f}, {.8f, .078f}, {.87f, .043f}, {.93f, .023f}};
  float energy = 0.0f, total = 0.0f;
  for (std::size_t i = 0; i < group.count; ++i) {
    energy += group.importance[i] * group.weights[i] * group.weights[i];
    total += group.importance[i];
  }
  const float rms = __builtin_sqrtf(energy / total);
  const float by_rms = kRules[bits].share_of_rms * rms, by_minmax = kRules[bits].share_of_minmax * minmax;
  const float low = by_rms < by_minmax ? by_rms : by_minmax;
  return {low > minmax / 16 ? low : minmax / 16, minmax * 1.35f};
}

/// The fifteen bf16 scales around `scale`, and the min-max one in the last lane, by the codec's own rounding.
template <bool kZeroPoint>
inline GroupParams judge(const IntGroup& group, float scale, float zero, GroupParams minmax) {
  const Mask around = lane_numbers() < all_words(kLanes - 1);
  const Words near = bits_of(all(scale)) + shift_left<16>(lane_numbers()) - all_words(7u << 16);
  const Floats scales = select(around, from_bits(near), all(minmax.scale));
  const Floats zeros = select(around, all(zero), all(minmax.zero_point));
  const Floats errors = int_error<kZeroPoint, true>(group, scales, zeros);
  float candidates[kLanes];
  store(candidates, scales);
  const std::size_t best = best_lane(errors, kLanes - 1, group.count);
  if (best == kLanes - 1) return minmax;
  minmax.scale = candidates[best];
  minmax.zero_point = zero + 0.0f;  // never -0
  return minmax;
}

/// Takes the best lane of the candidates and of their refit.
template <bool kZeroPoint>
inline GroupParams finish(const IntGroup& group, IntCandidates best, GroupParams minmax) {
  IntCandidates fitted = best;
  refit<kZeroPoint>(group, fitted);
  if constexpr (kZeroPoint) fitted.scale = select(all(0.0f) < fitted.scale, fitted.scale, best.scale);
  fitted.error = int_error<kZeroPoint, false>(group, fitted.scale, fitted.zero);
  keep_better(best, fitted);
  float scale[kLanes], zero[kLanes], error[kLanes];
  store(scale, best.scale);
  store(zero, best.zero);
  store(error, best.error);
  std::size_t lane = 0;
  for (std::size_t k = 1; k < kLanes; ++k)
    if (error[k] < error[lane]) lane = k;
  return judge<kZeroPoint>(group, scale[lane], zero[lane], minmax);
}

IntGroup int_group(const float* weights, const float* importance, std::size_t count, unsigned bits) {
  const float half = static_cast<float>(1u << (bits - 1));
  return {weights, importance, count, all(-half), all(half - 1.0f)};
}

GroupParams search_int(const float* weights, const float* importance, std::size_t count, unsigned bits,
                       ScaleSigns signs, GroupParams minmax) {
  const IntGroup group = int_group(weights, importance, count, bits);
  const ScaleRange range = scale_range(group, bits, minmax.scale);
  const std::uint32_t vectors = bits <= 4 ? 1 : bits < 8 ? 2 : 4;  // the more bits, the more rugged the error
  IntCandidates best = {all(minmax.scale), all(0.0f), all(__builtin_huge_valf())};
  for (std::uint32_t v = 0; v < vectors; ++v) {
    IntCandidates c = {spread_scales(range.low, range.high, vectors, v), all(0.0f), all(0.0f)};
    c.error = int_error<false, false>(group, c.scale, c.zero);
    keep_better(best, c);
    if (signs == ScaleSigns::positive) continue;
    c.scale = all(0.0f) - c.scale;
    c.error = int_error<false, false>(group, c.scale, c.zero);
    keep_better(best, c);
  }
  return finish<false>(group, best, minmax);
}

/// Zero points: the one that clips as many codes at both ends, and one to each side of it. 8-bit codes clip little, so
/// that the first is enough, but their error is rugged and wants more scales.
GroupParams search_int_asymmetric(const float* weights, const float* importance, std::size_t count, unsigned bits,
                                  float low, float high, GroupParams minmax) {
  const IntGroup group = int_group(weights, importance, count, bits);
  const ScaleRange range = scale_range(group, bits, minmax.scale);
  const std::uint32_t vectors = bits < 8 ? 1 : 4;
  IntCandidates best = {all(minmax.scale), all(minmax.zero_point), all(__builtin_huge_valf())};
  for (std::uint32_t v = 0; v < vectors; ++v) {
    const Floats scale = spread_scales(range.low, range.high, vectors, v);
    const Floats at_low = group.least - all(low) / scale, at_high = group.most - all(high) / scale;
    const Floats middle = (at_low + at_high) * all(0.5f);
    const Floats reach = magnitude(at_high - at_low) * all(0.3f);
    const Floats step = max(reach, all(1.0f));
    for (int side = bits < 8 ? -1 : 0; side <= (bits < 8 ? 1 : 0); ++side) {
      const Floats zero = middle + all(static_cast<float>(side)) * step;
      IntCandidates c = {scale, round_even(min(max(zero, group.least), group.most)), all(0.0f)};
      c.error = int_error<true, false>(group, c.scale, c.zero);
      keep_better(best, c);
    }
  }
  return finish<true>(group, best, minmax);
}

/// Magnitudes rounded as in round_magnitude of rows_inl.h, as values: adding a power of two whose last bit is the step
/// between neighbours leaves the nearest, half to even.
struct E4m3Values {
  static Floats nearest(Floats a) {
    const Floats x = min(a, all(448.0f));
    const Words exponent = max(bits_of(x) & all_words(0x7F800000u), all_words(121u << 23));
    const Floats magic = from_bits(exponent + all_words(20u << 23));
    return x + magic - magic;
  }
};
struct E2m1Values {
  static Floats nearest(Floats a) {
    const Floats x = min(a, all(6.0f));
    const Floats upper = select(x < all(4.0f), all(0x1p23f), all(0x1p24f));
    const Floats magic = select(x < all(2.0f), all(0x1p22f), upper);
    return x + magic - magic;
  }
};

/// Signs play no part: a code's sign is its weight's.
template <class Values>
inline std::size_t best_float_scale(const float* weights, const float* importance, std::size_t count,
                                    const float* scales, float divisor, std::size_t incumbent) {
  const Floats scale = load(scales) / all(divisor);
  const Floats errors = sum_in_runs(count, [&](std::size_t i, Floats& sum) {
    const Floats w = magnitude(all(weights[i]));
    const Floats d = w - Values::nearest(w / scale) * scale;
    sum = sum + all(importance[i]) * d * d;
  });
  return best_lane(errors, incumbent, count);
}

std::size_t best_e4m3(const float* weights, const float* importance, std::size_t count, const float* scales,
                      float divisor, std::size_t incumbent) {
  return best_float_scale<E4m3Values>(weights, importance, count, scales, divisor, incumbent);
}

std::size_t best_e2m1(const float* weights, const float* importance, std::size_t count, const float* scales,
                      float divisor, std::size_t incumbent) {
  return best_float_scale<E2m1Values>(weights, importance, count, scales, divisor, incumbent);
}

}  // namespace
}  // namespace strata::codec
