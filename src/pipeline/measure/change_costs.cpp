// The correction is a product of three ratios: one over all changes, one over changes from one codec to another, one
// over a group's changes. Each is drawn towards 1 while it rests on few samples.
#include "pipeline/measure/change_costs.h"

#include <algorithm>
#include <cmath>

namespace strata::pipeline {
namespace {

/// Samples of ratio 1 that a ratio begins with.
constexpr double kPriorOfPair = 3.0, kPriorOfGroup = 1.0;
/// Estimates are off by about a third (docs/results.md: how good the signals are); measurements by a few percent.
constexpr double kEstimateDeviation = 0.35, kMeasuredDeviation = 0.05;

/// (measured + prior) / (estimated + prior), both sums of magnitudes; the prior in units of the mean estimate.
double drawn_ratio(double measured, double estimated, double count, double prior) {
  if (count == 0 || estimated <= 0) return 1.0;
  const double anchor = prior * estimated / count;
  return std::clamp((measured + anchor) / (estimated + anchor), 0.1, 10.0);
}

}  // namespace

ChangeCosts::ChangeCosts(std::vector<std::vector<Choice>> choices, Assignment plan)
    : choices_(std::move(choices)),
      estimated_(choices_.size()),
      known_(choices_.size()),
      of_group_(choices_.size(), 1.0),
      plan_(std::move(plan)) {
  for (std::size_t g = 0; g < choices_.size(); ++g)
    for (const Choice& choice : choices_[g]) estimated_[g][choice.codec] = choice.cost;
}

void ChangeCosts::move_to(const Assignment& plan) {
  for (std::size_t g = 0; g < plan.size(); ++g)
    if (plan[g] != plan_[g] && !known_[g].empty() && !known_[g].contains(plan[g]))
      known_[g][plan[g]] = known_[g].at(plan_[g]) + corrected(g, *plan[g]);
  plan_ = plan;
}

void ChangeCosts::measured(std::size_t group, const codec::Codec& codec, double change) {
  std::map<const codec::Codec*, double>& known = known_[group];
  if (known.empty()) known[plan_[group]] = 0.0;
  known[&codec] = known.at(plan_[group]) + change;
  samples_.push_back({group, plan_[group], &codec, change});
  correct();
}

bool ChangeCosts::is_measured(std::size_t group, const codec::Codec& codec) const {
  return known_[group].contains(&codec);
}

double ChangeCosts::estimate(std::size_t group, const codec::Codec& codec) const {
  const auto of = [&](const codec::Codec* c) {
    const auto it = estimated_[group].find(c);
    return it == estimated_[group].end() ? 0.0 : it->second;
  };
  return of(&codec) - of(plan_[group]);
}

double ChangeCosts::corrected(std::size_t group, const codec::Codec& codec) const {
  const auto pair = of_pair_.find({plan_[group], &codec});
  return overall_ * (pair == of_pair_.end() ? 1.0 : pair->second) * of_group_[group] * estimate(group, codec);
}

double ChangeCosts::change(std::size_t group, const codec::Codec& codec) const {
  if (&codec == plan_[group]) return 0.0;
  if (is_measured(group, codec)) return known_[group].at(&codec) - known_[group].at(plan_[group]);
  return corrected(group, codec);
}

double ChangeCosts::deviation(std::size_t group, const codec::Codec& codec) const {
  return std::abs(change(group, codec)) * (is_measured(group, codec) ? kMeasuredDeviation : kEstimateDeviation);
}

void ChangeCosts::correct() {
  const auto magnitude = [&](const Sample& s) {
    return std::abs(estimated_[s.group].at(s.to) - estimated_[s.group].at(s.from));
  };
  // What was measured counts with the sign of what was expected: a change for the better where one for the worse was
  // expected lowers the ratio.
  const auto along = [&](const Sample& s) {
    return estimated_[s.group].at(s.to) >= estimated_[s.group].at(s.from) ? s.change : -s.change;
  };
  double measured = 0, estimated = 0;
  for (const Sample& s : samples_) measured += along(s), estimated += magnitude(s);
  overall_ = estimated > 0 ? std::clamp(measured / estimated, 0.1, 10.0) : 1.0;

  std::map<Pair, std::pair<Sums, double>> pairs;
  for (const Sample& s : samples_) {
    auto& [sums, count] = pairs[{s.from, s.to}];
    sums.measured += along(s), sums.estimated += overall_ * magnitude(s), ++count;
  }
  of_pair_.clear();
  for (const auto& [pair, entry] : pairs)
    of_pair_[pair] = drawn_ratio(entry.first.measured, entry.first.estimated, entry.second, kPriorOfPair);

  std::vector<std::pair<Sums, double>> groups(choices_.size());
  for (const Sample& s : samples_) {
    auto& [sums, count] = groups[s.group];
    sums.measured += along(s), sums.estimated += overall_ * of_pair_.at({s.from, s.to}) * magnitude(s), ++count;
  }
  for (std::size_t g = 0; g < groups.size(); ++g)
    of_group_[g] = drawn_ratio(groups[g].first.measured, groups[g].first.estimated, groups[g].second, kPriorOfGroup);
}

std::vector<std::vector<Choice>> ChangeCosts::priced() const {
  std::vector<std::vector<Choice>> result = choices_;
  for (std::size_t g = 0; g < result.size(); ++g) {
    double least = 0;
    for (Choice& choice : result[g]) {
      choice.cost = change(g, *choice.codec);
      least = std::min(least, choice.cost);
    }
    for (Choice& choice : result[g]) choice.cost -= least;
  }
  return result;
}

Costs ChangeCosts::costs(const model::Architecture& a, const std::vector<bool>& free, To to) const {
  Costs costs;
  costs.signal = "measured changes of the plan";
  costs.linears.resize(a.linears.size());
  for (std::size_t g = 0; g < choices_.size(); ++g) {
    // Costs are >= 0: what the plan's codec costs is estimated, and raised where a change would save more than that.
    const auto it = estimated_[g].find(plan_[g]);
    double base = it == estimated_[g].end() ? 0.0 : overall_ * it->second;
    for (const Choice& choice : choices_[g]) base = std::max(base, -change(g, *choice.codec));
    for (const Choice& choice : choices_[g]) {
      const bool stays = choice.codec == plan_[g];
      if (!stays && (!free[g] || (to == To::measured && !is_measured(g, *choice.codec)))) continue;
      // The group's cost is its first linear's; the others have none.
      bool first = true;
      for (const std::size_t l : a.groups[g].linears) {
        costs.linears[l][choice.codec] = first ? base + change(g, *choice.codec) : 0.0;
        first = false;
      }
    }
  }
  return costs;
}

}  // namespace strata::pipeline
