// Preparation of a knapsack: checks, rounding to whole numbers, dominance, lower convex hulls and their edges.
// Kellerer, Pferschy, Pisinger: Knapsack Problems (2004), section 11.2.
#include "allocate/problem.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/checked.h"
#include "core/error.h"

namespace strata::allocate {
namespace {

constexpr int kCostSumBits = 62;
constexpr int kBytesSumBits = 60;  // three times such a sum still fits

struct Totals {
  std::uint64_t smallest = 0;  // sum of the groups' fewest bytes
  double cost = 0.0;           // sum of the groups' largest costs
};

Totals check(std::span<const Group> groups) {
  Totals totals;
  std::uint64_t largest_sum = 0;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    STRATA_CHECK(!groups[g].empty(), "group {} has no choices", g);
    std::uint64_t least = groups[g][0].bytes, most = least;
    double cost = 0.0;
    for (std::size_t c = 0; c < groups[g].size(); ++c) {
      const Choice& choice = groups[g][c];
      if (!std::isfinite(choice.cost) || choice.cost < 0.0)
        fail("allocate: group {}, choice {}: the cost is {}, expected a finite number of at least 0; check the scores",
             g, c, choice.cost);
      least = std::min(least, choice.bytes);
      most = std::max(most, choice.bytes);
      cost = std::max(cost, choice.cost);
    }
    const auto sum = add(largest_sum, most);
    if (!sum || (*sum >> kBytesSumBits) != 0)
      fail("allocate: group {}: the bytes of the groups add up to 2^60 or more; check the shapes", g);
    largest_sum = *sum;
    totals.smallest += least;
    totals.cost += cost;
  }
  if (totals.cost > 0x1p1000) fail("allocate: the costs of the groups add up to {}; scale them down", totals.cost);
  return totals;
}

/// The power of two in whose units the largest costs, each rounded, add up to less than 2^62.
int cost_exponent(double total_cost) {
  if (total_cost == 0.0) return 0;
  int exponent = 0;  // total_cost < 2^exponent
  std::frexp(total_cost, &exponent);
  return exponent - (kCostSumBits - 1);
}

/// Appends the undominated choices of one group: bytes rise and costs fall strictly.
void append_items(const Group& group, int exponent, std::vector<Item>& scratch, std::vector<Item>& items) {
  scratch.clear();
  for (std::size_t c = 0; c < group.size(); ++c)
    scratch.push_back({static_cast<std::int64_t>(group[c].bytes),
                       static_cast<std::int64_t>(std::llrint(std::ldexp(group[c].cost, -exponent))),
                       static_cast<std::uint32_t>(c)});
  std::sort(scratch.begin(), scratch.end(), [](const Item& a, const Item& b) {
    if (a.bytes != b.bytes) return a.bytes < b.bytes;
    return a.cost != b.cost ? a.cost < b.cost : a.choice < b.choice;
  });
  const std::size_t begin = items.size();
  for (const Item& item : scratch)
    if (items.size() == begin || item.cost < items.back().cost) items.push_back(item);
  for (std::size_t i = items.size(); i-- > begin;) items[i].bytes -= items[begin].bytes;
}

/// Points on a straight stretch of the hull stay: each is a plan that wastes nothing.
void append_hull_moves(const Problem& problem, std::size_t group, std::vector<std::uint32_t>& hull,
                       std::vector<Move>& moves) {
  const auto& items = problem.items;
  hull.clear();
  for (std::size_t i = problem.first[group]; i < problem.first[group + 1]; ++i) {
    while (hull.size() >= 2) {
      const Item &a = items[hull[hull.size() - 2]], &b = items[hull.back()], &c = items[i];
      // b lies above the line from a to c when the way on from b saves more per byte than the way to b.
      if (static_cast<Wide>(a.cost - b.cost) * (c.bytes - b.bytes) >=
          static_cast<Wide>(b.cost - c.cost) * (b.bytes - a.bytes))
        break;
      hull.pop_back();
    }
    hull.push_back(static_cast<std::uint32_t>(i));
  }
  for (std::size_t v = 1; v < hull.size(); ++v) {
    const Item &from = items[hull[v - 1]], &to = items[hull[v]];
    moves.push_back({static_cast<std::uint32_t>(group), hull[v], to.bytes - from.bytes, from.cost - to.cost});
  }
}

/// Exact order by falling saved / bytes; the quotient in floating point decides the clear cases at once.
void sort_moves(std::vector<Move>& moves) {
  struct Keyed {
    double quotient;
    Move move;
  };
  std::vector<Keyed> keyed;
  keyed.reserve(moves.size());
  for (const Move& move : moves)
    keyed.push_back({static_cast<double>(move.saved) / static_cast<double>(move.bytes), move});
  std::sort(keyed.begin(), keyed.end(), [](const Keyed& a, const Keyed& b) {
    // Three roundings a quotient, 2^-53 each: a difference of 2^-48 cannot be an accident of rounding.
    if (a.quotient * (1.0 - 0x1p-48) > b.quotient) return true;
    if (b.quotient * (1.0 - 0x1p-48) > a.quotient) return false;
    const Wide left = static_cast<Wide>(a.move.saved) * b.move.bytes;
    const Wide right = static_cast<Wide>(b.move.saved) * a.move.bytes;
    if (left != right) return left > right;
    return a.move.group != b.move.group ? a.move.group < b.move.group : a.move.to < b.move.to;
  });
  std::transform(keyed.begin(), keyed.end(), moves.begin(), [](const Keyed& k) { return k.move; });
}

void divide_by_unit(Problem& problem) {
  std::uint64_t unit = 0;
  for (const Item& item : problem.items) unit = std::gcd(unit, static_cast<std::uint64_t>(item.bytes));
  problem.unit_bytes = std::max<std::uint64_t>(unit, 1);
  for (Item& item : problem.items) item.bytes /= static_cast<std::int64_t>(problem.unit_bytes);
}

}  // namespace

std::int64_t Problem::budget_units(std::uint64_t budget_bytes) const {
  if (budget_bytes < smallest_bytes)
    fail(
        "allocate: the budget of {} bytes is below {} bytes, the smallest that the allowed choices can reach; "
        "raise the budget or allow smaller choices",
        budget_bytes, smallest_bytes);
  const std::uint64_t units = (budget_bytes - smallest_bytes) / unit_bytes;
  return static_cast<std::int64_t>(std::min(units, static_cast<std::uint64_t>(total_bytes)));
}

double Problem::to_cost(std::int64_t units) const { return std::ldexp(static_cast<double>(units), cost_exponent); }

Solution Problem::solution(std::span<const std::uint32_t> chosen, std::int64_t lower_bound) const {
  Solution result;
  std::int64_t bytes = 0, cost = 0;
  result.choice.reserve(chosen.size());
  for (const std::uint32_t i : chosen) {
    bytes += items[i].bytes;
    cost += items[i].cost;
    result.choice.push_back(items[i].choice);
  }
  result.bytes = to_bytes(bytes);
  result.cost = to_cost(cost);
  result.lower_bound = to_cost(lower_bound);
  return result;
}

std::vector<std::uint32_t> Problem::smallest_items() const {
  std::vector<std::uint32_t> chosen(group_count());
  for (std::size_t g = 0; g < chosen.size(); ++g) chosen[g] = static_cast<std::uint32_t>(first[g]);
  return chosen;
}

Problem prepare(std::span<const Group> groups) {
  const Totals totals = check(groups);
  Problem problem;
  problem.smallest_bytes = totals.smallest;
  problem.cost_exponent = cost_exponent(totals.cost);
  problem.first.reserve(groups.size() + 1);
  problem.first.push_back(0);
  std::vector<Item> scratch;
  for (const Group& group : groups) {
    append_items(group, problem.cost_exponent, scratch, problem.items);
    STRATA_CHECK(problem.items.size() <= UINT32_MAX, "{} choices", problem.items.size());
    problem.first.push_back(problem.items.size());
  }
  divide_by_unit(problem);
  std::vector<std::uint32_t> hull;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    problem.smallest_cost += problem.items[problem.first[g]].cost;
    problem.total_bytes += problem.items[problem.first[g + 1] - 1].bytes;
    append_hull_moves(problem, g, hull, problem.moves);
  }
  sort_moves(problem.moves);
  return problem;
}

}  // namespace strata::allocate
