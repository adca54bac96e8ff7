// Spending a budget of bytes: one choice for every group, so that the summed cost is least. Pure arithmetic; knows
// nothing of models or files. Multiple-choice knapsack (Kellerer, Pferschy, Pisinger: Knapsack Problems, chapter 11).
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace strata::allocate {

/// One way to store a group. cost: finite, >= 0.
struct Choice {
  std::uint64_t bytes = 0;
  double cost = 0.0;
};

/// The choices of one group; never empty.
using Group = std::vector<Choice>;

struct Solution {
  std::vector<std::size_t> choice;  ///< index into each group's choices
  std::uint64_t bytes = 0;
  double cost = 0.0;
  double lower_bound = 0.0;  ///< no plan within the budget costs less (Lagrangian bound)
};

/// The fewest bytes any plan can have.
std::uint64_t smallest(std::span<const Group> groups);

/// The least cost within `budget_bytes`. Lagrangian relaxation, then an exact repair of the slack; the certified gap
/// is cost - lower_bound. Never spends more than the budget; cost never rises when the budget does.
/// Throws Error when even the smallest plan is over the budget.
Solution solve(std::span<const Group> groups, std::uint64_t budget_bytes);

/// The plans on the lower convex hull of (bytes, cost), from the smallest to the costless end: every budget at once.
std::vector<Solution> pareto(std::span<const Group> groups);

/// Exact dynamic programme over bytes: the oracle of the tests; needs budget_bytes * groups of memory.
Solution solve_exact(std::span<const Group> groups, std::uint64_t budget_bytes);

}  // namespace strata::allocate
