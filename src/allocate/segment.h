// The budgets between two neighbouring points of the hull curve: the best plans for all of them at once.
// They depend on the segment only, never on the budget inside it, which is what keeps solve() monotone.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "allocate/problem.h"

namespace strata::allocate {

/// A plan as its difference from the segment's base plan: bytes >= 0, cost <= 0.
struct FrontPoint {
  std::int64_t bytes = 0;
  std::int64_t cost = 0;
  std::uint32_t node = 0;  ///< the last change, an index into Front::nodes; 0 is the base plan itself
};

/// One changed group of a plan; its other changes follow along `parent` until node 0.
struct FrontNode {
  std::uint32_t parent = 0;
  std::uint32_t group = 0;
  std::uint32_t item = 0;
};

struct Front {
  std::vector<FrontPoint> points;  ///< the base plan first; bytes rise, costs fall, both strictly
  std::vector<FrontNode> nodes;
  bool exact = false;  ///< for every budget of the segment the last point within it is an optimum
};

/// The best plans of a segment. base: an item a group, a plan at which the relaxation is tight; next: the hull edge
/// that leads to the next such plan; base_cost: the cost of the base plan. The points have bytes below next.bytes.
Front explore(const Problem& problem, std::span<const std::uint32_t> base, const Move& next, std::int64_t base_cost);

}  // namespace strata::allocate
