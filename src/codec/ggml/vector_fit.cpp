// Scales of the codebook types: d and the sixteen scale codes of a super-block, chosen together.
// At every scale a vector takes the cheapest point of its grid. Points cost s (s square - 2 cross), so that over all
// scales only the few on the lower hull of the lines square - (2 / s) cross are ever taken. They are found once a
// vector; then many d are judged exactly, each with the best of the sixteen scale codes for every group.
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "codec/ggml/block_functions.h"
#include "codec/ggml/vectors.h"

namespace strata::codec {
namespace {

constexpr std::size_t kMostGroups = 16, kMostVectors = 64;
constexpr int kCodes = VectorType::kScaleCodes;
constexpr double kBetter = 1.0 - 1e-4;  // more than the sums' rounding
// Scales that are tried, in shares of the one that reaches a group's largest weight.
constexpr float kSmallestScale = 0.2f, kLargestScale = 1.5f;
constexpr float kWorthwhile = 1e-4f;  // what a point of a hull must save, as a share of its neighbour's square

void add(const GridCosts& costs, std::size_t point, Hull& hull) {
  hull.cross[hull.count] = costs.cross[point];
  hull.square[hull.count++] = costs.square[point];
}

/// The hull for ratios 2 / s in a range, and the point of the largest scales: between two points of it, the cheapest
/// where their lines cross.
void build_hull(const Variant& variant, const GridCosts& costs, std::size_t points, float least_ratio, float most_ratio,
                Hull& hull) {
  struct Gap {
    std::size_t left, right;
  };
  std::array<Gap, Hull::kMost> gaps;
  std::size_t open = 0;
  hull.count = 0;
  add(costs, variant.lowest_point(costs, points, 0.0f), hull);
  const std::size_t first = variant.lowest_point(costs, points, least_ratio);
  const std::size_t last = variant.lowest_point(costs, points, most_ratio);
  add(costs, first, hull);
  if (last == first) return;
  add(costs, last, hull);
  gaps[open++] = {first, last};
  while (open > 0 && hull.count < Hull::kMost) {
    const auto [left, right] = gaps[--open];
    const float rise = costs.square[right] - costs.square[left], run = costs.cross[right] - costs.cross[left];
    const float ratio = rise / run;
    if (!(run > 0.0f) || !(ratio > least_ratio) || !(ratio < most_ratio)) continue;
    const std::size_t between = variant.lowest_point(costs, points, ratio);
    const float here = costs.square[between] - ratio * costs.cross[between];
    const float there = costs.square[left] - ratio * costs.cross[left];
    if (between == left || between == right || !(here < there - kWorthwhile * costs.square[left])) continue;
    add(costs, between, hull);
    gaps[open++] = {left, between};
    gaps[open++] = {between, right};
  }
}

struct Choice {
  float d = 0.0f;
  std::array<int, kMostGroups> codes{};
  double cost = 0.0;
};

class VectorFit {
 public:
  VectorFit(const Variant& variant, const VectorType& type, const float* weights);
  Choice plain() const;
  Choice search(const float* importance);
  GroupParams params(const Choice& choice, std::size_t group) const;

 private:
  struct Point {
    double cross, square;
  };
  std::size_t vectors_per_group() const { return type_.layout.group_size / type_.vector_size; }
  void build_hulls(const float* importance);
  void costs_of_group(std::size_t group, float d, float* costs) const;
  static Point cheapest(const Hull* hulls, std::size_t parts, float scale);
  void choose_codes(Choice& choice) const;
  double cost_of(const Choice& choice) const;
  float refit(const Choice& choice) const;

  const Variant& variant_;
  const VectorType& type_;
  const float* weights_;
  std::size_t groups_;
  float reach_[kMostGroups] = {};  ///< the scale at which the highest level is the group's largest weight
  std::vector<Hull> hulls_;
  std::size_t first_hull_[kMostGroups];
  std::uint8_t parts_[kMostVectors];  ///< hulls of a vector, as Variant::costs_at_scales has them
  double energy_ = 0.0;               ///< sum of h w w
};

VectorFit::VectorFit(const Variant& variant, const VectorType& type, const float* weights)
    : variant_(variant), type_(type), weights_(weights), groups_(type.layout.groups()) {
  for (std::size_t g = 0; g < groups_; ++g) {
    const Range range = range_of({weights + g * type.layout.group_size, type.layout.group_size});
    reach_[g] = range.magnitude() / type.grid().highest_level();
  }
}

/// The group that reaches farthest gets the largest code.
Choice VectorFit::plain() const {
  Choice choice;
  const float farthest = *std::max_element(reach_, reach_ + groups_);
  choice.d = half_of(farthest / type_.scale(1.0f, kCodes - 1));
  for (std::size_t g = 0; g < groups_; ++g) {
    const float code = 0.5f * (reach_[g] / (choice.d * type_.unit) - 1.0f);
    if (code > 0.0f) choice.codes[g] = static_cast<int>(std::nearbyint(std::min(code, static_cast<float>(kCodes - 1))));
  }
  return choice;
}

GroupParams VectorFit::params(const Choice& choice, std::size_t group) const {
  return {.scale = type_.scale(choice.d, choice.codes[group]),
          .super_scale = choice.d,
          .scale_code = static_cast<std::int16_t>(choice.codes[group])};
}

void VectorFit::build_hulls(const float* importance) {
  VectorSearch search(variant_, type_);
  hulls_.reserve(4 * kMostVectors);
  for (std::size_t g = 0, v = 0; g < groups_; ++g) {
    first_hull_[g] = hulls_.size();
    const float ratio = reach_[g] > 0.0f ? 2.0f / reach_[g] : 0.0f;
    for (std::size_t k = 0; k < vectors_per_group(); ++k, ++v) {
      search.load(weights_ + v * type_.vector_size, importance + v * type_.vector_size);
      energy_ += search.energy();
      parts_[v] = static_cast<std::uint8_t>(search.tables());
      for (std::size_t t = 0; t < search.tables(); ++t)
        build_hull(variant_, search.costs(t), type_.grid().size(), ratio / kLargestScale, ratio / kSmallestScale,
                   hulls_.emplace_back());
    }
  }
}

/// What a group costs at each of the scale codes.
void VectorFit::costs_of_group(std::size_t group, float d, float* costs) const {
  float scales[kCodes];
  for (int c = 0; c < kCodes; ++c) scales[c] = type_.scale(d, c);
  variant_.costs_at_scales(hulls_.data() + first_hull_[group], parts_ + group * vectors_per_group(),
                           vectors_per_group(), scales, costs);
}

/// The codes of least cost under choice.d, and their cost.
void VectorFit::choose_codes(Choice& choice) const {
  float costs[kCodes];
  choice.cost = 0.0;
  for (std::size_t g = 0; g < groups_; ++g) {
    costs_of_group(g, choice.d, costs);
    choice.codes[g] = static_cast<int>(std::min_element(costs, costs + kCodes) - costs);
    choice.cost += static_cast<double>(costs[choice.codes[g]]);
  }
}

double VectorFit::cost_of(const Choice& choice) const {
  float costs[kCodes];
  double total = 0.0;
  for (std::size_t g = 0; g < groups_; ++g) {
    costs_of_group(g, choice.d, costs);
    total += static_cast<double>(costs[choice.codes[g]]);
  }
  return total;
}

VectorFit::Point VectorFit::cheapest(const Hull* hulls, std::size_t parts, float scale) {
  Point points[VectorSearch::kMostTables];
  double costs[VectorSearch::kMostTables];
  const auto s = static_cast<double>(scale);
  for (std::size_t t = 0; t < parts; ++t) {
    const Hull& hull = hulls[t];
    costs[t] = HUGE_VAL;
    for (std::size_t k = 0; k < hull.count; ++k) {
      const Point point{static_cast<double>(hull.cross[k]), static_cast<double>(hull.square[k])};
      const double cost = s * (s * point.square - 2.0 * point.cross);
      if (!(cost < costs[t])) continue;
      costs[t] = cost;
      points[t] = point;
    }
  }
  const auto sum = [&](std::size_t a, std::size_t b) -> Point {
    return {points[a].cross + points[b].cross, points[a].square + points[b].square};
  };
  if (parts == 1) return points[0];
  if (parts == 2) return sum(0, 1);
  return costs[2] + costs[1] < costs[0] + costs[3] ? sum(2, 1) : sum(0, 3);
}

/// d by least squares, codes and points as they are.
float VectorFit::refit(const Choice& choice) const {
  double cross = 0.0, square = 0.0;
  for (std::size_t g = 0; g < groups_; ++g) {
    const float scale = type_.scale(choice.d, choice.codes[g]);
    const auto multiple = static_cast<double>(type_.scale(1.0f, choice.codes[g]));
    const Hull* hulls = hulls_.data() + first_hull_[g];
    for (std::size_t k = 0; k < vectors_per_group(); ++k) {
      const std::size_t parts = parts_[g * vectors_per_group() + k];
      const Point point = cheapest(hulls, parts, scale);
      hulls += parts;
      cross += multiple * point.cross;
      square += multiple * multiple * point.square;
    }
  }
  return half_of(static_cast<float>(cross / square));
}

Choice VectorFit::search(const float* importance) {
  constexpr int kSteps = 24, kTurns = 3, kBeside = 2;
  build_hulls(importance);
  Choice simple = plain();
  simple.cost = cost_of(simple);
  Choice best = simple;
  const auto judge = [&](float d) {
    Choice choice{.d = d};
    choose_codes(choice);
    if (choice.cost < best.cost) best = choice;
  };
  // d goes from a little above that of the plain rule to a third of it; and, coarsely, up to where the lowest level
  // reaches the largest weight, which is right for weights of nearly equal magnitude.
  float d = 1.2f * simple.d;
  for (int step = 0; step < kSteps; ++step, d *= 0.947f) judge(half_of(d));
  const float most = type_.grid().highest_level() / type_.grid().level(0) * simple.d;
  for (d = 1.3f * simple.d; d < 1.2f * most; d *= 1.2f) judge(half_of(d));
  for (int turn = 0; turn < kTurns; ++turn) {
    const float middle = refit(best), before = best.d;
    for (int beside = -kBeside; beside <= kBeside; ++beside) judge(half_beside(middle, beside));
    if (best.d == before) break;
  }
  return energy_ + best.cost < kBetter * (energy_ + simple.cost) ? best : simple;
}

}  // namespace

void fit_vectors(const Variant& variant, const VectorType& type, const float* weights, const float* importance,
                 ScaleFit fit, GroupParams* groups) {
  VectorFit block(variant, type, weights);
  fit_groups(block, type.layout, importance, fit, groups);
}

}  // namespace strata::codec
