// Scores become costs: one number for every linear and codec.
#include "pipeline/choose/costs.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/statistics.h"
#include "engine/model_gradient.h"
#include "importance/signals/fisher.h"
#include "pipeline/choose/gradient_costs.h"
#include "pipeline/choose/presets.h"

namespace strata::pipeline {

std::vector<const importance::Signal*> price_signals(std::span<const codec::Codec* const> codecs) {
  std::vector<const importance::Signal*> result;
  for (const importance::Signal& signal : importance::signals())
    if (signal.prices && concerns(signal, codecs)) result.push_back(&signal);
  return result;
}

std::vector<const importance::Signal*> linear_cost_signals(std::span<const codec::Codec* const> codecs) {
  std::vector<const importance::Signal*> result = price_signals(codecs);
  result.push_back(&importance::signal_by_name("act_mse"));
  return result;
}

namespace {

/// The largest mixtures pass this.
constexpr std::uint64_t kMostSensitivityBytes = std::uint64_t{4} << 30;

bool gradients_are_cheap(const model::Architecture& architecture) {
  return architecture.why_not_runnable.empty() && engine::why_no_gradient(architecture).empty() &&
         importance::sensitivity_bytes(architecture) <= kMostSensitivityBytes;
}

}  // namespace

std::vector<const importance::Signal*> cheapest_cost_signals(std::span<const codec::Codec* const> codecs,
                                                             const model::Architecture& architecture) {
  if (!gradients_are_cheap(architecture)) return linear_cost_signals(codecs);
  return {&importance::signal_by_name("act_mse"), &importance::signal_by_name("fisher")};
}

importance::ScoreRequest scores_needed(const PlanRequest& request, const Target& target,
                                       const model::Architecture& architecture) {
  importance::ScoreRequest needed;
  const Needs needs = preset_named(request.preset).needs;
  if (needs == Needs::linear_costs) {
    needed.codecs = allowed_codecs(target, request.codecs).codecs;
    needed.measure.rounded_inputs = rounded_inputs(target);
    needed.signals = cheapest_cost_signals(needed.codecs, architecture);
  }
  if (needs == Needs::block_signals) needed.signals.push_back(&importance::signal_by_name(request.signal));
  return needed;
}

namespace {

/// Measured divergences of a group, with the relative errors they belong to.
struct Point {
  const codec::Codec* codec;
  double error, value;
};

/// Cost of a unit of relative error under a codec, from its own measurement, or else from that of the codec whose
/// rounding is most alike (one of its family first, then the nearest error): divergence grows in proportion to the
/// error.
double slope(const std::vector<Point>& points, const codec::Codec& codec, double error) {
  const Point* nearest = nullptr;
  double least = 0;
  for (const Point& point : points) {
    if (point.codec == &codec) return point.value / point.error;
    const double distance = std::abs(std::log(point.error / error)) + (point.codec->family == codec.family ? 0 : 100);
    if (nearest == nullptr || distance < least) {
      nearest = &point;
      least = distance;
    }
  }
  return nearest == nullptr ? 0.0 : nearest->value / nearest->error;
}

/// What a unit of relative error costs a group under the codec, by the signal that prices it; by another that prices
/// codecs, where the scores lack it or it was not measured; none when there is no such signal at all. For Pricing::mean
/// it is the geometric mean of that and the first kind's.
std::optional<double> price_of(const importance::Scores& scores, const codec::Codec& codec, std::size_t group,
                               Pricing pricing) {
  std::optional<double> first, own;
  for (const importance::Signal& signal : importance::signals()) {
    if (!signal.prices) continue;
    const auto it = scores.groups.find(std::string(signal.name));
    if (it == scores.groups.end()) continue;
    const double value = it->second.values[group];
    if (!first || *first == 0.0) first = value;
    if (signal.prices->contain(codec) && value > 0.0) own = value;
  }
  if (!own) return first;
  return pricing == Pricing::mean ? std::sqrt(*first * *own) : *own;
}

Costs costs_of_set(const importance::Scores& scores, const model::Architecture& architecture, Pricing pricing) {
  Costs costs;
  const auto it = scores.linears.find("act_mse");
  const auto kl = scores.choices.find("kl");
  const bool priced = price_of(scores, codec::by_name("nvfp4"), 0, pricing).has_value();  // or any other codec
  if (has_gradient_costs(scores)) return gradient_costs(scores, architecture, pricing);
  if (it == scores.linears.end()) return costs;
  costs.signal = kl != scores.choices.end() ? "kl" : priced ? "alpha x act_mse" : "act_mse";
  costs.linears.resize(architecture.linears.size());
  for (std::size_t g = 0; g < architecture.groups.size(); ++g) {
    const model::FusionGroup& group = architecture.groups[g];
    std::vector<Point> points;
    if (kl != scores.choices.end())
      for (const importance::Measurement& m : kl->second[g])
        if (const double error = importance::relative_error(it->second, group, *m.codec); error > 0)
          points.push_back({m.codec, error, m.value});
    const auto weigh = [&](const codec::Codec& codec) {
      const double error = importance::relative_error(it->second, group, codec);
      if (!points.empty() && error > 0) return slope(points, codec, error);
      return price_of(scores, codec, g, pricing).value_or(1.0);
    };
    std::map<const codec::Codec*, double> weights;  // one for all linears of the group: a block's experts are hundreds
    for (const std::size_t l : group.linears)
      for (const importance::CodecScore& score : it->second[l].codecs) {
        const auto [weight, missing] = weights.try_emplace(score.codec);
        if (missing) weight->second = weigh(*score.codec);
        costs.linears[l][score.codec] = weight->second * it->second[l].relative(score);
      }
  }
  return costs;
}

double sum_of(const Costs& costs) {
  double sum = 0;
  for (const auto& row : costs.linears)
    for (const auto& [codec, cost] : row) sum += cost;
  return sum;
}

/// All sets have costs of the same linears and codecs.
Costs combine(const std::vector<Costs>& sets, importance::Combine how) {
  Costs result = sets.front();
  double common = 0;
  std::vector<double> sums;
  for (const Costs& set : sets) sums.push_back(sum_of(set));
  for (const double sum : sums) common += sum / static_cast<double>(sums.size());
  for (std::size_t l = 0; l < result.linears.size(); ++l)
    for (auto& [codec, cost] : result.linears[l]) {
      std::vector<double> values;
      for (std::size_t s = 0; s < sets.size(); ++s)
        values.push_back(sums[s] > 0 ? sets[s].linears[l].at(codec) / sums[s] : 0.0);
      cost = common * (how == importance::Combine::max ? std::ranges::max(values) : estimate(values).mean);
    }
  return result;
}

bool has_cost(const Costs& costs, const codec::Codec& codec) {
  return std::ranges::any_of(costs.linears, [&](const auto& row) { return row.contains(&codec); });
}

bool fits_somewhere(const Problem& problem, const codec::Codec& codec) {
  for (std::size_t g = 0; g < problem.architecture().groups.size(); ++g)
    if (problem.fits(g, codec)) return true;
  return false;
}

}  // namespace

Costs costs_of(const importance::Scores& scores, const model::Architecture& architecture, Pricing pricing) {
  Costs costs;
  if (scores.sets.empty()) {
    costs = costs_of_set(scores, architecture, pricing);
  } else {
    std::vector<Costs> sets;
    for (const importance::Scores& set : scores.sets) sets.push_back(costs_of_set(set, architecture, pricing));
    costs = combine(sets, scores.combine);
  }
  for (const auto& [name, block_scores] : scores.blocks) costs.blocks[name] = scores.importance(name);
  costs.rounded_inputs = scores.rounded_inputs;
  if (!costs.linears.empty()) costs.smoothing = scores.smoothing;
  return costs;
}

void check_linear_costs(const Problem& problem) {
  const std::vector<const codec::Codec*>& allowed = problem.allowed().codecs;
  const bool some = std::ranges::any_of(
      allowed, [&](const codec::Codec* codec) { return codec->has_codes() && has_cost(problem.costs(), *codec); });
  const bool all_kept = std::ranges::none_of(allowed, &codec::Codec::has_codes);
  std::vector<std::string> unpriced;
  if (some && !problem.request().codecs.empty())
    for (const LeftOut& item : without_costs(problem)) unpriced.push_back(item.codec);
  if ((some || all_kept) && unpriced.empty()) return;
  std::vector<std::string> signals, held;
  for (const importance::Signal* signal : linear_cost_signals(allowed)) signals.emplace_back(signal->name);
  for (const auto& [name, values] : problem.costs().blocks) held.push_back(name);
  const std::string command =
      fmt::format("strata score {} -o scores.json --for {}{}{} --signals {}", problem.model().path().string(),
                  problem.target().name, problem.request().codecs.empty() ? "" : " --codecs ",
                  fmt::join(problem.request().codecs, ","), fmt::join(signals, ","));
  if (!unpriced.empty())
    fail("preset {}: the scores hold no costs for {}, which --codecs names; make them with: {}",
         problem.request().preset, fmt::join(unpriced, ", "), command);
  if (problem.costs().linears.empty())
    fail(
        "preset {} weighs what each codec costs each linear, and the scores do not hold that{}: {} are missing; make "
        "them with: {}",
        problem.request().preset, held.empty() ? "" : fmt::format(" (they hold {})", fmt::join(held, ", ")),
        fmt::join(signals, ", "), command);
  fail("preset {}: the scores hold no costs for any codec that may be chosen for {}; make them with: {}",
       problem.request().preset, problem.target().name, command);
}

std::vector<LeftOut> without_costs(const Problem& problem) {
  std::vector<LeftOut> result;
  for (const codec::Codec* codec : problem.allowed().codecs)
    if (codec->has_codes() && !has_cost(problem.costs(), *codec) && fits_somewhere(problem, *codec))
      result.push_back({codec->name, "the scores hold no costs for it; score with --codecs to have them"});
  return result;
}

}  // namespace strata::pipeline
