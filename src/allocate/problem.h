// The knapsack in whole numbers: bytes above the smallest plan in units of their greatest common divisor, costs in
// units of a power of two. Whole numbers make every comparison exact, which the guarantees of solve() rest on.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "allocate/allocate.h"

namespace strata::allocate {

/// Products of a cost (sums stay below 2^62) and a number of bytes (sums stay below 2^60), and sums of two such.
using Wide = __int128_t;

/// A choice that no other choice of its group dominates.
struct Item {
  std::int64_t bytes = 0;    ///< units above the group's smallest choice
  std::int64_t cost = 0;     ///< units of 2^cost_exponent
  std::uint32_t choice = 0;  ///< index in the caller's group
};

/// One edge of a group's lower convex hull: `saved` units of cost for `bytes` units of bytes, both > 0.
struct Move {
  std::uint32_t group = 0;
  std::uint32_t to = 0;  ///< index into Problem::items
  std::int64_t bytes = 0;
  std::int64_t saved = 0;
};

struct Problem {
  std::vector<Item> items;         ///< by group; within a group bytes rise and costs fall, both strictly
  std::vector<std::size_t> first;  ///< group g has items[first[g]] to items[first[g + 1] - 1]
  std::vector<Move> moves;         ///< by falling saved / bytes, then group, then bytes
  std::uint64_t smallest_bytes = 0;
  std::uint64_t unit_bytes = 1;
  std::int64_t smallest_cost = 0;  ///< of the smallest plan, in units
  std::int64_t total_bytes = 0;    ///< units above the smallest plan when every group has its largest item
  int cost_exponent = 0;

  std::size_t group_count() const { return first.size() - 1; }
  /// The caller's budget in units above the smallest plan, at most total_bytes. Throws Error when there is none.
  std::int64_t budget_units(std::uint64_t budget_bytes) const;
  std::uint64_t to_bytes(std::int64_t units) const {
    return smallest_bytes + static_cast<std::uint64_t>(units) * unit_bytes;
  }
  double to_cost(std::int64_t units) const;
  /// The plan that takes items[chosen[g]] for each group.
  Solution solution(std::span<const std::uint32_t> chosen, std::int64_t lower_bound) const;
  /// The first item of each group: the smallest plan.
  std::vector<std::uint32_t> smallest_items() const;
};

/// Checks the groups (Error as solve()), rounds, drops dominated choices, finds the hulls and sorts their edges.
/// O(choices log choices).
Problem prepare(std::span<const Group> groups);

}  // namespace strata::allocate
