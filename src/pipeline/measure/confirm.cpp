// A round is planned anew, so that the next one measures what the corrected costs have moved the bits to.
#include "pipeline/measure/confirm.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "core/ranks.h"
#include "importance/signals/kl.h"

namespace strata::pipeline {
namespace {

using Measurements = std::vector<std::vector<importance::Measurement>>;  ///< by group

bool has(const std::vector<importance::Measurement>& measured, const codec::Codec& codec) {
  return std::ranges::any_of(measured, [&](const importance::Measurement& m) { return m.codec == &codec; });
}

/// The most costly groups of the plan that are not measured at their codec, at most `count`.
std::vector<importance::SingleChange> most_costly(const Plan& plan, const Measurements& known, std::size_t count) {
  std::vector<std::size_t> order;
  for (std::size_t g = 0; g < plan.groups.size(); ++g)
    if (plan.groups[g].cost > 0 && plan.groups[g].codec->has_codes() && !has(known[g], *plan.groups[g].codec))
      order.push_back(g);
  std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t g) { return plan.groups[g].cost; });
  order.resize(std::min(order.size(), count));
  std::ranges::sort(order);
  std::vector<importance::SingleChange> units;
  for (const std::size_t g : order) units.push_back({g, plan.groups[g].codec});
  return units;
}

/// The measurements of a set's scores, with an empty list for every group that has none yet.
Measurements& measurements_of(importance::Scores& scores, std::size_t groups) {
  Measurements& known = scores.choices["kl"];
  known.resize(groups);
  return known;
}

/// Every rank gets the units of the first one.
void share_units(const Ranks& ranks, std::vector<importance::SingleChange>& units) {
  json names = json::array();
  for (const importance::SingleChange& unit : units) names.push_back({unit.group, unit.codec->name});
  ranks.broadcast(names);
  units.clear();
  for (const json& name : names)
    units.push_back({name[0].get<std::size_t>(), &codec::by_name(name[1].get<std::string>())});
}

}  // namespace

std::filesystem::path confirming_file(const std::filesystem::path& journal, std::size_t set) {
  return journal.string() + fmt::format(".{}", set + 1);
}

void confirm_costs(engine::Engine& engine, std::span<const importance::CalibrationSet> sets,
                   const importance::InputMeanSquare& inputs, const codec::RoundedInputs& rounded_inputs,
                   const std::filesystem::path& journal, importance::Scores& scores,
                   const std::function<Plan()>& make_plan, const Ranks& ranks) {
  const std::size_t groups = engine.architecture().groups.size();
  STRATA_CHECK(scores.sets.empty() ? sets.size() == 1 : sets.size() == scores.sets.size());
  for (const std::size_t count : kConfirmedGroups) {
    const Plan plan = make_plan();
    for (std::size_t s = 0; s < sets.size(); ++s) {
      importance::Scores& of_set = scores.sets.empty() ? scores : scores.sets[s];
      Measurements& known = measurements_of(of_set, groups);
      std::vector<importance::SingleChange> units;
      if (ranks.is_first()) units = most_costly(plan, known, count);
      share_units(ranks, units);
      importance::MeasureRequest request;
      request.tokens = kConfirmTokens;
      request.rounded_inputs = rounded_inputs;
      if (!journal.empty()) request.journal = confirming_file(journal, s);
      std::optional<WorkingTogether> together;
      if (ranks.many()) together.emplace();
      std::vector<importance::Measurement> measured =
          importance::measurements(engine, sets[s], inputs, units, request, "kl where the plan spends");
      for (std::size_t u = 0; u < units.size(); ++u) known[units[u].group].push_back(std::move(measured[u]));
    }
  }
}

}  // namespace strata::pipeline
