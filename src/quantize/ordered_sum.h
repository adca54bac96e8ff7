// The sum of what the parts of a set give, in an order that the number of parts alone decides (sum_nodes.h). Ranks that
// have parts in a row each then make the same bits together as one process makes alone (shared_sum.h), and each of them
// holds and sends a few sums, however many its parts.
#pragma once
#include <cstddef>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "core/error.h"
#include "quantize/sum_nodes.h"

namespace strata::quantize {

/// Sum: has += of its like.
template <class Sum>
class OrderedSum {
 public:
  /// The parts [first, end) of `parts` are added here. zero: makes the sum of nothing.
  OrderedSum(std::function<Sum()> zero, std::size_t parts, std::size_t first, std::size_t end)
      : zero_(std::move(zero)), parts_(parts), first_(first), end_(end) {}

  std::size_t parts() const { return parts_; }
  const std::function<Sum()>& zero() const { return zero_; }

  /// The sum of a part, to add to. Parts come in rising order; one that gives nothing may be left out.
  Sum& of_part(std::size_t part) {
    STRATA_CHECK(part >= first_ && part < end_ && part + 1 >= next_, "part {} of [{}, {})", part, first_, end_);
    if (part + 1 != next_) {
      complete_up_to(part);
      open_.emplace(zero_());
      next_ = part + 1;
    }
    return *open_;
  }

  /// Moves out the sums of the largest nodes in [first, end), in order; unset where no part has given anything.
  std::vector<std::optional<Sum>> take() {
    complete_up_to(end_);
    std::vector<std::optional<Sum>> sums;
    for (Done& done : done_) sums.push_back(std::exchange(done.sum, std::nullopt));
    return sums;
  }

  /// Adds the sum of the node that comes next, which was taken from another sum. Not beside of_part().
  void add(const SumNode& node, std::optional<Sum> sum) { complete({node, node.end, std::move(sum)}); }
  /// Moves out the whole sum, where [first, end) are all parts.
  Sum whole() {
    complete_up_to(end_);
    if (done_.empty() || !done_.front().sum) return zero_();
    return std::move(*done_.front().sum);
  }

 private:
  struct Done {
    SumNode node;
    std::size_t end;         ///< of the parts that are in the sum so far; the node is complete when it is node.end
    std::optional<Sum> sum;  ///< unset where no part has given anything
  };

  /// The parts before `part` are complete.
  void complete_up_to(std::size_t part) {
    for (std::size_t at = done_.empty() ? first_ : done_.back().end; at < part; ++at) {
      std::optional<Sum> sum;
      if (at + 1 == next_) sum = std::exchange(open_, std::nullopt);
      complete({sum_node(0, at, parts_), at + 1, std::move(sum)});
    }
  }

  /// A complete node is the first of the sum of the node above it, or is added to that.
  void complete(Done done) {
    while (done.node.begin != 0 || done.node.end != parts_) {
      const SumNode above = node_above(done.node, parts_);
      if (above.begin < first_ || above.end > end_) break;
      if (done.node.begin != above.begin) {
        Done before = std::move(done_.back());
        done_.pop_back();
        if (!before.sum)
          before.sum = std::move(done.sum);
        else if (done.sum)
          *before.sum += *done.sum;
        before.end = done.end;
        done = std::move(before);
      }
      done.node = above;
      if (done.end != above.end) break;
    }
    done_.push_back(std::move(done));
  }

  std::function<Sum()> zero_;
  std::size_t parts_, first_, end_;
  std::size_t next_ = 0;     ///< the part behind that of open_
  std::optional<Sum> open_;  ///< the sum of the part that is added to
  std::vector<Done> done_;   ///< in order; the parts of the last one may go on
};

}  // namespace strata::quantize
