// The tree by which the sums of the parts of a set are added: four parts in a row, one after another, make a node, and
// so do four nodes. It depends on the number of parts alone.
#pragma once
#include <cstddef>
#include <vector>

namespace strata::quantize {

inline constexpr std::size_t kSumsTogether = 4;
inline constexpr std::size_t kMostParts = 16;
/// The most sums that a process has at a time while it adds those of kMostParts parts.
inline constexpr std::size_t kSumsHeld = 3;

/// A node is over the parts [begin, end). Those of level 0 are the parts.
struct SumNode {
  std::size_t level = 0, index = 0, begin = 0, end = 1;
};
SumNode sum_node(std::size_t level, std::size_t index, std::size_t parts);
/// The node that a node is a part of.
SumNode node_above(const SumNode& node, std::size_t parts);
/// The largest nodes that lie in the parts [first, end), in order.
std::vector<SumNode> sum_nodes(std::size_t parts, std::size_t first, std::size_t end);

}  // namespace strata::quantize
