// The walk along the hull, the certified result at a budget, and the whole curve.
// Lagrangian bound: Everett, Operations Research 11 (1963). Greedy over hull edges solves the relaxation: Sinha and
// Zoltners, Operations Research 27 (1979).
#include <algorithm>

#include "allocate/allocate.h"
#include "allocate/problem.h"
#include "allocate/segment.h"
#include "core/error.h"

namespace strata::allocate {
namespace {

/// A point of the hull curve as items, with its sums in units.
struct HullPlan {
  std::vector<std::uint32_t> items;
  std::int64_t bytes = 0, cost = 0;
  std::size_t next = 0;  // the edge that leads on
};

HullPlan walk(const Problem& problem, std::int64_t budget) {
  HullPlan plan{problem.smallest_items(), 0, problem.smallest_cost, 0};
  for (; plan.next < problem.moves.size(); ++plan.next) {
    const Move& move = problem.moves[plan.next];
    if (move.bytes > budget - plan.bytes) break;
    plan.items[move.group] = move.to;
    plan.bytes += move.bytes;
    plan.cost -= move.saved;
  }
  return plan;
}

}  // namespace

std::uint64_t smallest(std::span<const Group> groups) { return prepare(groups).smallest_bytes; }

Solution solve(std::span<const Group> groups, std::uint64_t budget_bytes) {
  const Problem problem = prepare(groups);
  const std::int64_t budget = problem.budget_units(budget_bytes);
  HullPlan plan = walk(problem, budget);
  const std::int64_t slack = budget - plan.bytes;
  // A point of the hull curve is optimal for its own bytes; past the last one there is nothing to gain.
  if (slack == 0 || plan.next == problem.moves.size()) return problem.solution(plan.items, plan.cost);

  const Move& next = problem.moves[plan.next];
  const Front front = explore(problem, plan.items, next, plan.cost);
  const auto beyond = std::upper_bound(front.points.begin(), front.points.end(), slack,
                                       [](std::int64_t s, const FrontPoint& point) { return s < point.bytes; });
  const FrontPoint& best = *std::prev(beyond);
  for (std::uint32_t node = best.node; node != 0; node = front.nodes[node].parent)
    plan.items[front.nodes[node].group] = front.nodes[node].item;
  // Costs are whole units, so the relaxed bound may be rounded up.
  const auto relaxed = static_cast<std::int64_t>(static_cast<Wide>(next.saved) * slack / next.bytes);
  const std::int64_t cost = plan.cost + best.cost;
  Solution result = problem.solution(plan.items, front.exact ? cost : plan.cost - relaxed);
  STRATA_CHECK(result.bytes <= budget_bytes && result.cost == problem.to_cost(cost), "{} bytes of {}, cost {}, {}",
               result.bytes, budget_bytes, result.cost, problem.to_cost(cost));
  return result;
}

Curve pareto(std::span<const Group> groups) {
  const Problem problem = prepare(groups);
  Curve curve;
  for (const std::uint32_t item : problem.smallest_items()) curve.smallest.push_back(problem.items[item].choice);
  std::int64_t bytes = 0, cost = problem.smallest_cost;
  curve.points.push_back({problem.to_bytes(bytes), problem.to_cost(cost)});
  for (const Move& move : problem.moves) {
    bytes += move.bytes;
    cost -= move.saved;
    curve.steps.push_back({move.group, problem.items[move.to].choice});
    curve.points.push_back({problem.to_bytes(bytes), problem.to_cost(cost)});
  }
  return curve;
}

Solution Curve::plan(std::size_t point) const {
  STRATA_CHECK(point < points.size(), "point {} of {}", point, points.size());
  Solution result{smallest, points[point].bytes, points[point].cost, points[point].cost};
  for (std::size_t s = 0; s < point; ++s) result.choice[steps[s].group] = steps[s].choice;
  return result;
}

}  // namespace strata::allocate
