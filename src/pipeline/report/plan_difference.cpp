// Plans are compared group by group, by name.
// Costs are compared only when one signal priced both plans: a difference of two units would mean nothing.
#include "pipeline/report/plan_difference.h"

#include <algorithm>

namespace strata::pipeline {
namespace {

std::int64_t change(std::uint64_t from, std::uint64_t to) {
  return static_cast<std::int64_t>(to) - static_cast<std::int64_t>(from);
}

json cost_json(const std::optional<double>& cost) { return cost ? json(*cost) : json(); }

std::string cost_text(const std::optional<double>& cost) { return cost ? fmt::format("{:+.3g}", *cost) : "-"; }

}  // namespace

PlanDifference difference(const Plan& first, const Plan& second) {
  const auto of_headers = [](const Plan& plan) { return plan.fingerprint.starts_with(model::Model::kOfHeaders); };
  if (first.fingerprint != second.fingerprint && of_headers(first) == of_headers(second))
    fail("the plans are of two models (fingerprints {} and {}); compare plans of one model", first.fingerprint,
         second.fingerprint);
  const bool same_groups =
      std::ranges::equal(first.groups, second.groups, {}, &PlannedGroup::linears, &PlannedGroup::linears);
  if (!same_groups)
    fail(
        "the plan for {} and the plan for {} group the linears differently; compare plans for runtimes that fuse alike",
        first.target, second.target);
  PlanDifference result;
  result.groups = first.groups.size();
  result.bytes = change(first.bytes(), second.bytes());
  result.bits = second.bits() - first.bits();
  const bool priced = !first.cost_signal.empty() && first.cost_signal == second.cost_signal;
  if (priced) {
    result.cost = second.cost() - first.cost();
    result.cost_signal = first.cost_signal;
  }
  for (std::size_t g = 0; g < first.groups.size(); ++g) {
    const PlannedGroup &a = first.groups[g], &b = second.groups[g];
    if (a.codec == b.codec) continue;
    result.differ.push_back(
        {a.name, a.codec, b.codec, change(a.bytes, b.bytes), priced ? std::optional(b.cost - a.cost) : std::nullopt});
  }
  return result;
}

json PlanDifference::to_json() const {
  json list = json::array();
  for (const GroupDifference& group : differ)
    list.push_back({{"group", group.group},
                    {"first", group.first->name},
                    {"second", group.second->name},
                    {"bytes", group.bytes},
                    {"cost", cost_json(group.cost)}});
  return {{"groups", groups},
          {"groups_that_differ", differ.size()},
          {"bytes", bytes},
          {"bits", bits},
          {"cost", cost_json(cost)},
          {"cost_signal", cost_signal},
          {"differences", std::move(list)}};
}

std::vector<std::vector<std::string>> PlanDifference::rows() const {
  std::vector<std::vector<std::string>> rows = {
      {"group", "first", "second", "bytes", cost_signal.empty() ? "cost" : fmt::format("cost ({})", cost_signal)}};
  for (const GroupDifference& group : differ)
    rows.push_back(
        {group.group, group.first->name, group.second->name, fmt::format("{:+}", group.bytes), cost_text(group.cost)});
  rows.push_back(
      {fmt::format("{} of {} groups", differ.size(), groups), "", "", fmt::format("{:+}", bytes), cost_text(cost)});
  return rows;
}

}  // namespace strata::pipeline
