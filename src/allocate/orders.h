// Allocation by block: an order of the blocks, and the levels that follow from it. The method of "Layer-Wise
// Quantization" (arXiv 2406.17415), its baselines, and the three tiers. Pure functions, knowing nothing of models.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace strata::allocate {

/// Every block index once, the one that deserves bits most first.
using Order = std::vector<std::size_t>;

/// The level of every block: 0 is the one with the most bits.
using Levels = std::vector<std::size_t>;

/// The order of falling importance (higher = more important; the caller turns a signal round where smaller is more
/// important). Equals: the earlier block first. Throws Error naming the block whose importance is NaN.
Order by_importance(std::span<const double> importance);
Order reversed(Order order);
Order first_blocks(std::size_t block_count);
Order last_blocks(std::size_t block_count);
/// The blocks from both ends inwards: 0, n - 1, 1, n - 2, ...
Order first_and_last(std::size_t block_count);
/// A random order, each of the n! alike; the same for a seed on every machine.
Order random_order(std::size_t block_count, std::uint64_t seed);

/// counts[l] blocks at level l, taken along the order; the rest at level counts.size(). One count is the paper's
/// top-N: {n_high} gives the first n_high blocks level 0 and the others level 1.
/// Throws Error when the counts add up to more than the blocks.
Levels top_n(std::span<const std::size_t> order, std::span<const std::size_t> counts);

/// thresholds fall; a block gets the first level whose threshold its importance reaches (>=), or the level after the
/// last. Throws Error on NaN, and when the thresholds rise.
Levels by_thresholds(std::span<const double> importance, std::span<const double> thresholds);

/// bytes[b][l]: the bytes of block b at level l. All rows have one length >= 1. A row may rise: padding can make the
/// lower level of a tiny block the larger one.
using LevelBytes = std::vector<std::vector<std::uint64_t>>;

/// Tiers within a budget. All blocks begin at the last level, the pinned ones at level 0. Then, level by level from
/// the last but one up to 0, the blocks move up to it from the level below, in the order given, each while the budget
/// holds; a block that does not fit is passed over for the next. So middle bits reach every block they can before any
/// block gets the most: pin those that shall have them anyway.
/// Throws Error when the start is over the budget (the message says its bytes).
Levels tiers(std::span<const std::size_t> order, const LevelBytes& bytes, std::uint64_t budget_bytes,
             std::span<const std::size_t> pinned);

/// Bytes of the blocks at their levels. Throws Error when the sum passes 2^64.
std::uint64_t bytes_of(std::span<const std::size_t> levels, const LevelBytes& bytes);

/// bytes * 8 / weights, the bits that are written; weights > 0.
double true_bits(std::uint64_t bytes, std::uint64_t weights);

/// The most bytes that `weights` weights may take at an average of `bits` true bits, rounded down.
/// Throws Error unless 0 < bits <= 1024 and the bytes fit in 63 bits.
std::uint64_t budget_of_bits(double bits, std::uint64_t weights);

}  // namespace strata::allocate
