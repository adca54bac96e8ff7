// Orders of blocks and the levels that follow from them: arXiv 2406.17415, its baselines, the three tiers.
// Everything here counts and sorts; ties go to the earlier block.
#include "allocate/orders.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/checked.h"
#include "core/error.h"
#include "core/random.h"

namespace strata::allocate {
namespace {

void check_importance(std::span<const double> importance) {
  for (std::size_t b = 0; b < importance.size(); ++b)
    if (std::isnan(importance[b])) fail("allocate: block {}: the importance is NaN; check the scores", b);
}

void check_order(std::span<const std::size_t> order) {
  std::vector<bool> seen(order.size());
  for (const std::size_t block : order) {
    STRATA_CHECK(block < order.size() && !seen[block], "block {} of {}", block, order.size());
    seen[block] = true;
  }
}

}  // namespace

Order by_importance(std::span<const double> importance) {
  check_importance(importance);
  Order order = first_blocks(importance.size());
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return importance[a] > importance[b]; });
  return order;
}

Order reversed(Order order) {
  std::reverse(order.begin(), order.end());
  return order;
}

Order first_blocks(std::size_t block_count) {
  Order order(block_count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  return order;
}

Order last_blocks(std::size_t block_count) { return reversed(first_blocks(block_count)); }

Order first_and_last(std::size_t block_count) {
  Order order;
  for (std::size_t i = 0; i < block_count; ++i) order.push_back(i % 2 == 0 ? i / 2 : block_count - 1 - i / 2);
  return order;
}

Order random_order(std::size_t block_count, std::uint64_t seed) {
  Random random(seed);
  Order order = first_blocks(block_count);
  random.shuffle(order);
  return order;
}

Levels top_n(std::span<const std::size_t> order, std::span<const std::size_t> counts) {
  check_order(order);
  Levels levels(order.size(), counts.size());
  std::size_t next = 0;
  for (std::size_t level = 0; level < counts.size(); ++level) {
    if (counts[level] > order.size() - next)
      fail("allocate: {} blocks wanted at level {}, but only {} of {} are left; ask for fewer", counts[level], level,
           order.size() - next, order.size());
    for (const std::size_t end = next + counts[level]; next < end; ++next) levels[order[next]] = level;
  }
  return levels;
}

Levels by_thresholds(std::span<const double> importance, std::span<const double> thresholds) {
  check_importance(importance);
  for (std::size_t t = 0; t < thresholds.size(); ++t)
    if (std::isnan(thresholds[t]) || (t > 0 && thresholds[t] > thresholds[t - 1]))
      fail("allocate: threshold {} is {}, expected numbers from high to low; sort them", t, thresholds[t]);
  Levels levels;
  for (const double value : importance) {
    const auto reached = std::find_if(thresholds.begin(), thresholds.end(), [&](double t) { return value >= t; });
    levels.push_back(static_cast<std::size_t>(reached - thresholds.begin()));
  }
  return levels;
}

std::uint64_t bytes_of(std::span<const std::size_t> levels, const LevelBytes& bytes) {
  STRATA_CHECK(levels.size() == bytes.size(), "{} levels, {} blocks", levels.size(), bytes.size());
  std::uint64_t total = 0;
  for (std::size_t b = 0; b < levels.size(); ++b) {
    STRATA_CHECK(levels[b] < bytes[b].size(), "block {}: level {} of {}", b, levels[b], bytes[b].size());
    const auto sum = add(total, bytes[b][levels[b]]);
    if (!sum) fail("allocate: block {}: the bytes of the blocks add up to 2^64 or more; check the shapes", b);
    total = *sum;
  }
  return total;
}

Levels tiers(std::span<const std::size_t> order, const LevelBytes& bytes, std::uint64_t budget_bytes,
             std::span<const std::size_t> pinned) {
  check_order(order);
  STRATA_CHECK(order.size() == bytes.size(), "{} blocks ordered, {} given", order.size(), bytes.size());
  if (bytes.empty()) return {};
  const std::size_t level_count = bytes[0].size();
  for (const auto& row : bytes)
    STRATA_CHECK(level_count > 0 && row.size() == level_count, "{} levels, {} in the first block", row.size(),
                 level_count);
  Levels levels(bytes.size(), level_count - 1);
  for (const std::size_t block : pinned) {
    STRATA_CHECK(block < levels.size(), "block {} of {}", block, levels.size());
    levels[block] = 0;
  }
  std::uint64_t spent = bytes_of(levels, bytes);
  if (spent > budget_bytes)
    fail(
        "allocate: the budget of {} bytes is below {} bytes, the smallest that {} kept blocks and the lowest tier "
        "reach; raise the budget or keep fewer blocks",
        budget_bytes, spent, pinned.size());
  for (std::size_t level = level_count - 1; level-- > 0;)
    for (const std::size_t block : order) {
      if (levels[block] != level + 1) continue;
      const std::uint64_t rest = spent - bytes[block][level + 1];
      if (bytes[block][level] > budget_bytes - rest) continue;
      levels[block] = level;
      spent = rest + bytes[block][level];
    }
  return levels;
}

double true_bits(std::uint64_t bytes, std::uint64_t weights) {
  STRATA_CHECK(weights > 0);
  return 8.0 * static_cast<double>(bytes) / static_cast<double>(weights);
}

std::uint64_t budget_of_bits(double bits, std::uint64_t weights) {
  if (!(bits > 0.0 && bits <= 1024.0))
    fail("allocate: {} bits a weight asked for, expected more than 0 and at most 1024", bits);
  // bits = mantissa * 2^(exponent - 53); with whole numbers the product is exact, and rounded once.
  int exponent = 0;
  const auto mantissa = static_cast<std::uint64_t>(std::ldexp(std::frexp(bits, &exponent), 53));
  const int shift = 53 + 3 - exponent;  // 3: eight bits a byte
  if (shift > 127) return 0;
  const __uint128_t bytes = (static_cast<__uint128_t>(mantissa) * weights) >> shift;
  if ((bytes >> 63) != 0)
    fail("allocate: {} weights of {} bits need 2^63 bytes or more; check the shapes", weights, bits);
  return static_cast<std::uint64_t>(bytes);
}

}  // namespace strata::allocate
