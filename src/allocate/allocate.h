// Spending a budget of bytes: one choice for every group, so that the summed cost is least. Pure arithmetic; knows
// nothing of models or files. Multiple-choice knapsack; the method and its proofs are in docs/allocation.md.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace strata::allocate {

/// One way to store a group. cost: finite, >= 0. A choice that must not be taken is left out, not given a huge cost:
/// costs are rounded to about 2^-62 of the sum of the groups' largest costs.
struct Choice {
  std::uint64_t bytes = 0;
  double cost = 0.0;
};

/// The choices of one group, in any order; never empty. Equal (bytes, cost): the first is taken.
using Group = std::vector<Choice>;

/// A plan: one choice a group.
struct Solution {
  std::vector<std::size_t> choice;  ///< index into each group's choices
  std::uint64_t bytes = 0;
  double cost = 0.0;         ///< sum of the chosen costs, each rounded as said at Choice
  double lower_bound = 0.0;  ///< no plan within the budget costs less; equal to cost when the plan is proved optimal

  /// (cost - lower_bound) / cost: at most this share of the cost could have been saved. 0 when the cost is 0.
  double gap() const { return cost > 0.0 ? (cost - lower_bound) / cost : 0.0; }
};

/// The whole trade-off in one value: point 0 is the plan of least bytes, and step i turns point i into point i + 1 by
/// giving one group another choice. Every point is a plan of least cost for its own bytes.
struct Curve {
  struct Point {
    std::uint64_t bytes = 0;
    double cost = 0.0;
  };
  struct Step {
    std::size_t group = 0;
    std::size_t choice = 0;
  };
  std::vector<std::size_t> smallest;  ///< the choices at point 0
  std::vector<Step> steps;
  std::vector<Point> points;  ///< steps.size() + 1 of them; bytes rise, cost never does

  /// The plan at a point (< points.size()). O(groups + point).
  Solution plan(std::size_t point) const;
};

/// The fewest bytes any plan can have. Throws Error as solve() does.
std::uint64_t smallest(std::span<const Group> groups);

/// The least cost within `budget_bytes`: Lagrangian relaxation, then a search of the exchanges that fill the slack.
/// Never spends more than the budget; cost never rises when the budget does. Proved optimal (gap() == 0) when the
/// search ends by itself; it is cut off at a gap of 1e-5 or at its limit on states, and gap() says what is left.
/// Equal groups and budgets give the same plan on every machine.
/// Throws Error when even the smallest plan is over the budget (the message says its size), when a cost is NaN,
/// infinite or negative (names the group), and when bytes or costs add up past what can be counted.
Solution solve(std::span<const Group> groups, std::uint64_t budget_bytes);

/// Every budget at once: the plans on the lower convex hull of (bytes, cost), from the smallest to the one of least
/// cost. Throws Error as solve() does.
Curve pareto(std::span<const Group> groups);

/// Dynamic programme over bytes, exact: the oracle of the tests. Bytes are divided by their greatest common divisor;
/// then it needs budget * groups cells of memory (STRATA_CHECK: at most 2^28). Throws Error as solve() does.
Solution solve_exact(std::span<const Group> groups, std::uint64_t budget_bytes);

}  // namespace strata::allocate
