// The oracle: dynamic programme over bytes, one layer a group (Dudzinski and Walukiewicz, EJOR 28, 1987). Shares the
// preparation with solve(), and nothing of its search.
#include <limits>

#include "allocate/allocate.h"
#include "allocate/problem.h"
#include "core/checked.h"
#include "core/error.h"

namespace strata::allocate {

Solution solve_exact(std::span<const Group> groups, std::uint64_t budget_bytes) {
  const Problem problem = prepare(groups);
  const auto budget = static_cast<std::size_t>(problem.budget_units(budget_bytes));
  const std::size_t width = budget + 1, group_count = problem.group_count();
  const auto cells = multiply(width, group_count);
  STRATA_CHECK(cells && *cells <= std::uint64_t{1} << 28, "{} units of bytes, {} groups", width, group_count);

  // best[b]: least cost of the groups so far within b units; taken[g * width + b]: the item of group g in that plan.
  std::vector<std::int64_t> best(width, 0), next(width);
  std::vector<std::uint32_t> taken(*cells);
  for (std::size_t g = 0; g < group_count; ++g) {
    for (std::size_t b = 0; b < width; ++b) {
      next[b] = std::numeric_limits<std::int64_t>::max();
      for (std::size_t i = problem.first[g]; i < problem.first[g + 1]; ++i) {
        const Item& item = problem.items[i];
        if (static_cast<std::size_t>(item.bytes) > b) break;
        const std::int64_t cost = best[b - static_cast<std::size_t>(item.bytes)] + item.cost;
        if (cost >= next[b]) continue;
        next[b] = cost;
        taken[g * width + b] = static_cast<std::uint32_t>(i);
      }
    }
    best.swap(next);
  }
  std::vector<std::uint32_t> chosen(group_count);
  std::size_t left = budget;
  for (std::size_t g = group_count; g-- > 0;) {
    chosen[g] = taken[g * width + left];
    left -= static_cast<std::size_t>(problem.items[chosen[g]].bytes);
  }
  return problem.solution(chosen, best[budget]);
}

}  // namespace strata::allocate
