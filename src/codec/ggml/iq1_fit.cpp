// Scales of IQ1_S and IQ1_M: what every group would have alone, by sixteen scales and least squares; the d whose odd
// multiples are nearest to that; then in turns the codes of every group by their exact error, and d by least squares.
#include <algorithm>
#include <cmath>
#include <vector>

#include "codec/ggml/block_functions.h"
#include "codec/ggml/iq1.h"

namespace strata::codec {
namespace {

constexpr std::size_t kMostGroups = 16, kVectors = 32;
constexpr int kCodes = Iq1Type::kScaleCodes;
constexpr double kBetter = 1.0 - 1e-4;  // more than the sums' rounding

/// Sums over a group at some scale, and what it costs there.
struct Sums {
  double cross = 0.0, square = 0.0, cost = HUGE_VAL;
  float refit() const { return static_cast<float>(cross / square); }
};

struct Choice {
  float d = 0.0f;
  std::array<int, kMostGroups> codes{};
  std::array<bool, kMostGroups> down{};
  double cost = HUGE_VAL;
};

class Iq1Fit {
 public:
  Iq1Fit(const Variant& variant, const Iq1Type& type, const float* weights);
  Choice plain() const;
  Choice search(const float* importance);
  GroupParams params(const Choice& choice, std::size_t group) const;

 private:
  std::size_t vectors_per_group() const { return type_.layout.group_size / Iq1Type::kVector; }
  Sums at(std::size_t group, float scale, bool down) const;
  Sums alone(std::size_t group) const;
  float unit_near(const std::vector<Sums>& wanted) const;
  void choose(Choice& choice, const std::vector<Sums>& wanted) const;
  float refit(const Choice& choice) const;
  double cost_of(const Choice& choice) const;
  int nearest_code(float scale, float d) const;
  int moves() const { return type_.by_group ? 2 : 1; }

  const Variant& variant_;
  const Iq1Type& type_;
  const float* weights_;
  std::size_t groups_;
  float reach_[kMostGroups] = {};  ///< the scale at which the highest level is the group's largest weight
  std::vector<Iq1Search> vectors_;
  double energy_ = 0.0;  ///< sum of h w w
};

Iq1Fit::Iq1Fit(const Variant& variant, const Iq1Type& type, const float* weights)
    : variant_(variant), type_(type), weights_(weights), groups_(type.layout.groups()) {
  for (std::size_t g = 0; g < groups_; ++g) {
    const Range range = range_of({weights + g * type.layout.group_size, type.layout.group_size});
    reach_[g] = range.magnitude() / Iq1Type::kHighest;
  }
}

int Iq1Fit::nearest_code(float scale, float d) const {
  const float code = 0.5f * (scale / d - 1.0f);
  return code > 0.0f ? static_cast<int>(std::nearbyint(std::min(code, static_cast<float>(kCodes - 1)))) : 0;
}

/// The group that reaches farthest gets the largest code; all groups move upwards.
Choice Iq1Fit::plain() const {
  Choice choice;
  const float farthest = *std::max_element(reach_, reach_ + groups_);
  choice.d = half_of(farthest / Iq1Type::scale(1.0f, kCodes - 1));
  for (std::size_t g = 0; g < groups_; ++g) choice.codes[g] = nearest_code(reach_[g], choice.d);
  return choice;
}

GroupParams Iq1Fit::params(const Choice& choice, std::size_t group) const {
  return {.scale = Iq1Type::scale(choice.d, choice.codes[group]),
          .super_scale = choice.d,
          .scale_code = static_cast<std::int16_t>(choice.codes[group]),
          .min_code = static_cast<std::int16_t>(choice.down[group] ? 1 : 0)};
}

/// A group at a scale. Types whose vectors move each on its own take the better move for each; `down` says nothing.
Sums Iq1Fit::at(std::size_t group, float scale, bool down) const {
  Sums sums{.cost = 0.0};
  for (std::size_t k = 0; k < vectors_per_group(); ++k) {
    const Iq1Search& vector = vectors_[group * vectors_per_group() + k];
    const bool both = !type_.by_group;
    Iq1Search::Point point = vector.cheapest(!both && down ? Iq1Search::kDownwards : Iq1Search::kUpwards, scale);
    if (both)
      if (const auto other = vector.cheapest(Iq1Search::kDownwards, scale); other.cost(scale) < point.cost(scale))
        point = other;
    sums.cross += static_cast<double>(point.cross);
    sums.square += static_cast<double>(point.square);
    sums.cost += static_cast<double>(point.cost(scale));
  }
  return sums;
}

/// The group's best by itself: its sums there.
Sums Iq1Fit::alone(std::size_t group) const {
  constexpr int kSteps = 16;
  constexpr float kMost = 1.1f, kLeast = 0.25f;  // shares of the reach
  Sums best;
  for (int move = 0; move < moves(); ++move)
    for (int step = 0; step < kSteps; ++step) {
      const float share = kMost - (kMost - kLeast) * static_cast<float>(step) / (kSteps - 1);
      const Sums sums = at(group, reach_[group] * share, move == 1);
      if (sums.cost < best.cost) best = sums;
    }
  return best;
}

/// The d whose odd multiples are nearest to what the groups want, in weighted squares.
float Iq1Fit::unit_near(const std::vector<Sums>& wanted) const {
  float largest = 0.0f;
  for (const Sums& sums : wanted) largest = sums.refit() > largest ? sums.refit() : largest;
  constexpr int kSteps = 64;
  float best = 0.0f;
  double least = HUGE_VAL;
  for (int step = 0; step < kSteps; ++step) {
    const float multiple = 16.0f - 14.5f * static_cast<float>(step) / (kSteps - 1);  // of d, which the largest is
    const float d = half_of(largest / multiple);
    if (d == 0.0f) continue;
    double error = 0.0;
    for (const Sums& sums : wanted) {
      const float scale = sums.refit();
      const double difference =
          static_cast<double>(scale) - static_cast<double>(Iq1Type::scale(d, nearest_code(scale, d)));
      error += sums.square * difference * difference;
    }
    if (error < least) {
      least = error;
      best = d;
    }
  }
  return best;
}

/// Under choice.d the codes and moves of least cost, among the code nearest to what is wanted and those beside it.
void Iq1Fit::choose(Choice& choice, const std::vector<Sums>& wanted) const {
  choice.cost = 0.0;
  for (std::size_t g = 0; g < groups_; ++g) {
    const int near = nearest_code(wanted[g].refit(), choice.d);
    double least = HUGE_VAL;
    for (int move = 0; move < moves(); ++move)
      for (int code = std::max(near - 1, 0); code <= std::min(near + 1, kCodes - 1); ++code) {
        const double cost = at(g, Iq1Type::scale(choice.d, code), move == 1).cost;
        if (!(cost < least)) continue;
        least = cost;
        choice.codes[g] = code;
        choice.down[g] = move == 1;
      }
    choice.cost += least;
  }
}

double Iq1Fit::cost_of(const Choice& choice) const {
  double cost = 0.0;
  for (std::size_t g = 0; g < groups_; ++g)
    cost += at(g, Iq1Type::scale(choice.d, choice.codes[g]), choice.down[g]).cost;
  return cost;
}

/// d by least squares, codes, moves and points as they are.
float Iq1Fit::refit(const Choice& choice) const {
  double cross = 0.0, square = 0.0;
  for (std::size_t g = 0; g < groups_; ++g) {
    const auto multiple = static_cast<double>(Iq1Type::scale(1.0f, choice.codes[g]));
    const Sums sums = at(g, Iq1Type::scale(choice.d, choice.codes[g]), choice.down[g]);
    cross += multiple * sums.cross;
    square += multiple * multiple * sums.square;
  }
  return half_of(static_cast<float>(cross / square));
}

Choice Iq1Fit::search(const float* importance) {
  constexpr int kTurns = 3;
  vectors_.reserve(kVectors);
  for (std::size_t v = 0; v < kVectors; ++v) {
    const std::size_t first = v * Iq1Type::kVector;
    vectors_.emplace_back(variant_).load(weights_ + first, importance + first);
    for (std::size_t i = first; i < first + Iq1Type::kVector; ++i)
      energy_ +=
          static_cast<double>(importance[i]) * static_cast<double>(weights_[i]) * static_cast<double>(weights_[i]);
  }
  Choice simple = plain();
  simple.cost = cost_of(simple);
  std::vector<Sums> wanted;
  for (std::size_t g = 0; g < groups_; ++g) wanted.push_back(alone(g));
  Choice best = simple, choice;
  choice.d = unit_near(wanted);
  for (int turn = 0; turn < kTurns && choice.d > 0.0f; ++turn) {
    choose(choice, wanted);
    if (!(choice.cost < best.cost)) break;
    best = choice;
    choice.d = refit(best);
  }
  return energy_ + best.cost < kBetter * (energy_ + simple.cost) ? best : simple;
}

}  // namespace

void fit_iq1(const Variant& variant, const Iq1Type& type, const float* weights, const float* importance, ScaleFit fit,
             GroupParams* groups) {
  Iq1Fit block(variant, type, weights);
  fit_groups(block, type.layout, importance, fit, groups);
}

}  // namespace strata::codec
