// A node at the end of the parts may have fewer than four below it.
// The root is the first node that is over all parts.
#include "quantize/sum_nodes.h"

#include <algorithm>

namespace strata::quantize {

SumNode sum_node(std::size_t level, std::size_t index, std::size_t parts) {
  std::size_t width = 1;
  for (std::size_t l = 0; l < level; ++l) width *= kSumsTogether;
  return {level, index, index * width, std::min(parts, (index + 1) * width)};
}

SumNode node_above(const SumNode& node, std::size_t parts) {
  return sum_node(node.level + 1, node.index / kSumsTogether, parts);
}

std::vector<SumNode> sum_nodes(std::size_t parts, std::size_t first, std::size_t end) {
  std::vector<SumNode> nodes;
  while (first < end) {
    SumNode node = sum_node(0, first, parts);
    while (node.begin != 0 || node.end != parts) {
      const SumNode above = node_above(node, parts);
      if (above.begin != first || above.end > end) break;
      node = above;
    }
    nodes.push_back(node);
    first = node.end;
  }
  return nodes;
}

}  // namespace strata::quantize
