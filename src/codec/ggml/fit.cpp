// Scales of GGUF types by search. A block of 32: many candidates in f32, then the float16 numbers around the best one.
// A super-block: the groups' own best scales and mins; d and dmin that serve all of them; then in turns the integer
// codes of every group by their exact error, and d and dmin by least squares, as long as the sum falls.
#include <algorithm>
#include <array>
#include <cmath>

#include "codec/ggml/ggml.h"
#include "core/numbers.h"

namespace strata::codec {

float half_of(float value) {
  constexpr float kLargestHalf = 65504.0f;
  if (std::isnan(value)) return 0.0f;
  return to_float(to_f16(std::clamp(value, -kLargestHalf, kLargestHalf)));
}

float half_beside(float half, int steps) {
  const int bits = to_f16(half).bits, magnitude = std::clamp((bits & 0x7FFF) + steps, 1, 0x7BFF);
  return to_float(f16{static_cast<std::uint16_t>((bits & 0x8000) | magnitude)});
}

void usable_importance(const float* importance, std::size_t count, float* out) {
  float total = 0.0f;
  for (std::size_t i = 0; i < count; ++i) total += importance[i];
  const float floor = 1e-4f * total / static_cast<float>(count);
  const bool none = !(total > 0.0f) || !(total < 3e38f);
  for (std::size_t i = 0; i < count; ++i) out[i] = none ? 1.0f : importance[i] + floor;
}

namespace {

constexpr std::size_t kMostGroups = 16, kCandidates = 16;
constexpr double kBetter = 1.0 - 1e-5;  // more than the sums' rounding

struct Extremes {
  float low = 0.0f, high = 0.0f;  // each with 0
  float signed_most() const { return high >= -low ? high : low; }
};
Extremes extremes(const float* weights, std::size_t count) {
  Extremes e;
  for (std::size_t i = 0; i < count; ++i) {
    e.low = weights[i] < e.low ? weights[i] : e.low;
    e.high = weights[i] > e.high ? weights[i] : e.high;
  }
  return e;
}

/// The plain rule: the largest weight is the lowest level, or the range of weights is the range of levels.
LevelChoice plain_choice(const GgmlType& type, const float* weights) {
  const Extremes e = extremes(weights, type.group_size());
  if (type.sign == MinSign::none) return {e.signed_most() / type.levels.lowest, 0.0f};
  float low = e.low;
  if (type.sign == MinSign::both)
    for (std::size_t i = 0; i < type.group_size(); ++i) low = i == 0 || weights[i] < low ? weights[i] : low;
  float high = low;
  for (std::size_t i = 0; i < type.group_size(); ++i) high = weights[i] > high ? weights[i] : high;
  return {(high - low) / (type.levels.highest - type.levels.lowest), 0.0f - low};
}

void fit_single(const Variant& variant, const GgmlType& type, const float* weights, const float* importance,
                ScaleFit fit, GroupParams& group) {
  const LevelChoice plain = plain_choice(type, weights);
  group = GroupParams{.scale = half_of(plain.scale), .min = half_of(plain.min)};
  if (fit == ScaleFit::minmax) return;
  const LevelChoice found = variant.search_levels(weights, importance, type.group_size(), type.levels, type.sign);
  float scales[kCandidates], mins[kCandidates], errors[kCandidates];
  const float scale = half_of(found.scale), min = half_of(found.min);
  for (int k = 0; k < static_cast<int>(kCandidates); ++k) {
    const bool with_min = type.sign != MinSign::none;
    scales[k] = half_beside(scale, with_min ? k % 4 - 1 : k - 7);
    mins[k] = with_min && min != 0.0f ? half_beside(min, k / 4 - 1) : min;
  }
  scales[kCandidates - 1] = group.scale;
  mins[kCandidates - 1] = group.min;
  variant.errors_of_levels(weights, importance, type.group_size(), type.levels, scales, mins, errors);
  std::size_t best = kCandidates - 1;
  for (std::size_t k = 0; k + 1 < kCandidates; ++k)
    if (errors[k] < kBetter * errors[kCandidates - 1] && errors[k] < errors[best]) best = k;
  group.scale = scales[best];
  group.min = mins[best];
}

/// d and dmin of a super-block, float16.
struct Super {
  float d = 0.0f, dmin = 0.0f;
  bool operator==(const Super&) const = default;
};

class SuperFit {
 public:
  SuperFit(const Variant& variant, const GgmlType& type, const float* weights, const float* importance)
      : variant_(variant), type_(type), weights_(weights), importance_(importance), groups_(type.groups()) {}

  void plain(GroupParams* out) const;
  void search(GroupParams* out);

 private:
  using Groups = std::array<GroupParams, kMostGroups>;
  const float* weights(std::size_t g) const { return weights_ + g * type_.group_size(); }
  const float* importance(std::size_t g) const { return importance_ + g * type_.group_size(); }
  GroupParams with_codes(Super super, int scale_code, int min_code) const;
  Super plain_super(const LevelChoice* wanted) const;
  float best_unit(const float* wanted, const double* weight, int least, int most) const;
  double choose_codes(Super super, const LevelChoice* wanted, Groups& groups) const;
  Super refit(const Groups& groups) const;
  double error_of(const Groups& groups) const;
  void descend(Super super, const LevelChoice* wanted, Groups& best, double& best_error) const;

  const Variant& variant_;
  const GgmlType& type_;
  const float* weights_;
  const float* importance_;
  std::size_t groups_;
};

GroupParams SuperFit::with_codes(Super super, int scale_code, int min_code) const {
  return {.scale = super.d * static_cast<float>(scale_code),
          .min = super.dmin * static_cast<float>(min_code),
          .super_scale = super.d,
          .super_min = super.dmin,
          .scale_code = static_cast<std::int16_t>(scale_code),
          .min_code = static_cast<std::int16_t>(min_code)};
}

int nearest_code(float wanted, float unit, int least, int most) {
  const float code = unit == 0.0f ? 0.0f : wanted / unit;
  if (!(code > static_cast<float>(least))) return least < 0 && std::isnan(code) ? 0 : least;
  return code < static_cast<float>(most) ? static_cast<int>(std::nearbyint(code)) : most;
}

/// The largest scale and min get the largest codes; a signed code's largest is its least.
Super SuperFit::plain_super(const LevelChoice* wanted) const {
  float scale = 0.0f, min = 0.0f;
  for (std::size_t g = 0; g < groups_; ++g) {
    scale = std::fabs(wanted[g].scale) > std::fabs(scale) ? wanted[g].scale : scale;
    min = wanted[g].min > min ? wanted[g].min : min;
  }
  const int most = type_.scale_least < 0 ? type_.scale_least : type_.scale_most;
  return {half_of(scale / static_cast<float>(most)),
          type_.min_most == 0 ? 0.0f : half_of(min / static_cast<float>(type_.min_most))};
}

void SuperFit::plain(GroupParams* out) const {
  LevelChoice wanted[kMostGroups];
  for (std::size_t g = 0; g < groups_; ++g) wanted[g] = plain_choice(type_, weights(g));
  const Super super = plain_super(wanted);
  for (std::size_t g = 0; g < groups_; ++g)
    out[g] = with_codes(super, nearest_code(wanted[g].scale, super.d, type_.scale_least, type_.scale_most),
                        nearest_code(wanted[g].min, super.dmin, 0, type_.min_most));
}

double SuperFit::error_of(const Groups& groups) const {
  double total = 0;
  for (std::size_t g = 0; g < groups_; ++g) {
    float scales[kCandidates], mins[kCandidates], errors[kCandidates];
    std::ranges::fill(scales, groups[g].scale);
    std::ranges::fill(mins, groups[g].min);
    variant_.errors_of_levels(weights(g), importance(g), type_.group_size(), type_.levels, scales, mins, errors);
    total += static_cast<double>(errors[0]);
  }
  return total;
}

/// The unit whose multiples are nearest to all that is wanted, in weighted squares: from the largest wanted value over
/// the largest code, or a little more, to that over half of it.
float SuperFit::best_unit(const float* wanted, const double* weight, int least, int most) const {
  float largest = 0.0f;
  for (std::size_t g = 0; g < groups_; ++g) largest = std::max(largest, std::fabs(wanted[g]));
  if (!(largest > 0.0f)) return 0.0f;
  constexpr int kSteps = 40;
  float best = 0.0f;
  double least_error = HUGE_VAL;
  for (int step = 0; step < kSteps; ++step)
    for (const float sign : {1.0f, -1.0f}) {
      if (least >= 0 && sign < 0.0f) continue;
      const float code = static_cast<float>(most) * (1.04f - 0.54f * static_cast<float>(step) / (kSteps - 1));
      const float unit = half_of(sign * largest / code);
      if (unit == 0.0f) continue;
      double error = 0;
      for (std::size_t g = 0; g < groups_; ++g) {
        const auto multiple = static_cast<float>(nearest_code(wanted[g], unit, least, most));
        const double difference = static_cast<double>(wanted[g]) - static_cast<double>(unit * multiple);
        error += weight[g] * difference * difference;
      }
      if (error < least_error) {
        least_error = error;
        best = unit;
      }
    }
  return best;
}

/// For every group the codes of least error among sixteen around what is wanted. Returns the sum of the errors.
double SuperFit::choose_codes(Super super, const LevelChoice* wanted, Groups& groups) const {
  double total = 0;
  const auto floor_code = [](float value, float unit, int least, int most) {
    const float code = unit == 0.0f ? 0.0f : std::floor(value / unit);
    return static_cast<int>(
        std::clamp(std::isnan(code) ? 0.0f : code, static_cast<float>(least), static_cast<float>(most)));
  };
  for (std::size_t g = 0; g < groups_; ++g) {
    const int scale = floor_code(wanted[g].scale, super.d, type_.scale_least, type_.scale_most);
    const int min = floor_code(wanted[g].min, super.dmin, 0, type_.min_most);
    GroupParams candidates[kCandidates];
    float scales[kCandidates], mins[kCandidates], errors[kCandidates];
    for (int k = 0; k < static_cast<int>(kCandidates); ++k) {
      const bool with_min = type_.min_most != 0;
      const int scale_code = std::clamp(scale + (with_min ? k % 4 - 1 : k - 7), type_.scale_least, type_.scale_most);
      const int min_code = with_min ? std::clamp(min + k / 4 - 1, 0, type_.min_most) : 0;
      candidates[k] = with_codes(super, scale_code, min_code);
      scales[k] = candidates[k].scale;
      mins[k] = candidates[k].min;
    }
    variant_.errors_of_levels(weights(g), importance(g), type_.group_size(), type_.levels, scales, mins, errors);
    std::size_t best = 0;
    for (std::size_t k = 1; k < kCandidates; ++k)
      if (errors[k] < errors[best]) best = k;
    groups[g] = candidates[best];
    total += static_cast<double>(errors[best]);
  }
  return total;
}

/// d and dmin by least squares, all codes fixed: w = d * (scale_code * level) - dmin * min_code.
Super SuperFit::refit(const Groups& groups) const {
  double qq = 0, qm = 0, mm = 0, qw = 0, mw = 0;
  for (std::size_t g = 0; g < groups_; ++g) {
    const LevelMoments m = variant_.moments_of_levels(weights(g), importance(g), type_.group_size(), type_.levels,
                                                      groups[g].scale, groups[g].min);
    const double scale = groups[g].scale_code, min = groups[g].min_code;
    qq += scale * scale * m.hqq;
    qm += scale * min * m.hq;
    mm += min * min * m.h;
    qw += scale * m.hqw;
    mw += min * m.hw;
  }
  const double determinant = qq * mm - qm * qm;
  const double d = (mm * qw - qm * mw) / determinant, dmin = (qm * qw - qq * mw) / determinant;
  if (type_.min_most != 0 && determinant > 0 && dmin > 0)
    return {half_of(static_cast<float>(d)), half_of(static_cast<float>(dmin))};
  return {half_of(static_cast<float>(qw / qq)), 0.0f};
}

void SuperFit::descend(Super super, const LevelChoice* wanted, Groups& best, double& best_error) const {
  constexpr int kTurns = 4;
  std::array<LevelChoice, kMostGroups> near;
  std::copy_n(wanted, groups_, near.begin());
  Groups groups;
  double last = HUGE_VAL;
  for (int turn = 0; turn < kTurns; ++turn) {
    const double error = choose_codes(super, near.data(), groups);
    if (error < kBetter * best_error) {
      best_error = error;
      best = groups;
    }
    if (!(error < 0.9995 * last)) return;
    last = error;
    const Super next = refit(groups);
    if (next == super || next.d == 0.0f) return;
    super = next;
    for (std::size_t g = 0; g < groups_; ++g) near[g] = {groups[g].scale, groups[g].min};
  }
}

void SuperFit::search(GroupParams* out) {
  Groups best;
  plain(best.data());
  double best_error = error_of(best);
  LevelChoice wanted[kMostGroups];
  float scales[kMostGroups], mins[kMostGroups];
  double scale_weight[kMostGroups], min_weight[kMostGroups];
  for (std::size_t g = 0; g < groups_; ++g) {
    wanted[g] = variant_.search_levels(weights(g), importance(g), type_.group_size(), type_.levels, type_.sign);
    const LevelMoments m = variant_.moments_of_levels(weights(g), importance(g), type_.group_size(), type_.levels,
                                                      wanted[g].scale, wanted[g].min);
    scales[g] = wanted[g].scale;
    mins[g] = wanted[g].min;
    scale_weight[g] = m.hqq;
    min_weight[g] = m.h;
  }
  const Super scanned{best_unit(scales, scale_weight, type_.scale_least, type_.scale_most),
                      type_.min_most == 0 ? 0.0f : best_unit(mins, min_weight, 0, type_.min_most)};
  descend(scanned, wanted, best, best_error);
  std::copy_n(best.begin(), groups_, out);
}

}  // namespace

void fit_block(const Variant& variant, const GgmlType& type, const float* weights, const float* importance,
               ScaleFit fit, GroupParams* groups) {
  float usable[256];
  if (fit == ScaleFit::search)
    for (std::size_t g = 0; g < type.groups(); ++g)
      usable_importance(importance + g * type.group_size(), type.group_size(), usable + g * type.group_size());
  if (!type.super()) return fit_single(variant, type, weights, usable, fit, *groups);
  SuperFit super(variant, type, weights, usable);
  if (fit == ScaleFit::minmax)
    super.plain(groups);
  else
    super.search(groups);
}

}  // namespace strata::codec
