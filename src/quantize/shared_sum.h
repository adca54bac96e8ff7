// Ordered sums whose parts ranks share: rank r has the parts from ranks.first_of(parts, r) on. What one rank has summed
// goes to another as the sums of a few nodes, which are added as one process adds them.
#pragma once
#include <algorithm>
#include <span>

#include "core/exchange.h"
#include "core/ranks.h"
#include "quantize/ordered_sum.h"
#include "quantize/packed_sums.h"

namespace strata::quantize {

/// Messages about sums of a kind that packed_sums.h knows.
template <class Sum>
class SumTrade {
 public:
  using Pieces = std::vector<std::optional<Sum>*>;

  /// Sends sums to one rank, and receives others of which that one says which are there.
  static void trade(const Ranks& ranks, std::size_t to, const Pieces& sent, std::size_t from, const Pieces& received,
                    const std::function<Sum()>& zero) {
    std::vector<char> have(sent.size()), come(received.size());
    for (std::size_t i = 0; i < sent.size(); ++i) have[i] = sent[i]->has_value() ? 1 : 0;
    exchange(ranks, to, std::as_bytes(std::span(have)), from, std::as_writable_bytes(std::span(come)));
    Pieces out, in;
    for (std::optional<Sum>* sum : sent)
      if (*sum) out.push_back(sum);
    for (std::size_t i = 0; i < received.size(); ++i)
      if (come[i] != 0) in.push_back(received[i]);
    for (std::size_t i = 0; i < std::max(out.size(), in.size()); ++i) {
      std::vector<std::byte> sending, receiving;
      if (i < out.size()) {
        sending = packed(**out[i]);
        out[i]->reset();
      }
      if (i < in.size()) receiving.resize(packed_bytes(in[i]->emplace(zero())));
      exchange(ranks, to, sending, from, receiving);
      if (i < in.size()) unpack(receiving, **in[i]);
    }
  }
};

inline std::vector<SumNode> nodes_of_rank(const Ranks& ranks, std::size_t parts, std::size_t rank) {
  return sum_nodes(parts, ranks.first_of(parts, rank), ranks.first_of(parts, rank + 1));
}

/// The whole sum, to all ranks. The first one adds the nodes as they come.
template <class Sum>
Sum total(OrderedSum<Sum>& sum, const Ranks& ranks) {
  const std::size_t parts = sum.parts();
  std::vector<std::optional<Sum>> own = sum.take();
  OrderedSum<Sum> whole(sum.zero(), parts, 0, parts);
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    const std::vector<SumNode> nodes = nodes_of_rank(ranks, parts, r);
    for (std::size_t n = 0; n < nodes.size(); ++n) {
      std::optional<Sum> come;
      if (r == ranks.rank() && !ranks.is_first())
        SumTrade<Sum>::trade(ranks, 0, {&own[n]}, 0, {}, sum.zero());
      else if (r != ranks.rank() && ranks.is_first())
        SumTrade<Sum>::trade(ranks, r, {}, r, {&come}, sum.zero());
      if (ranks.is_first()) whole.add(nodes[n], r == 0 ? std::exchange(own[n], std::nullopt) : std::move(come));
    }
  }
  Sum result = ranks.is_first() ? whole.whole() : sum.zero()();
  if (ranks.many()) {
    std::vector<std::byte> bytes(packed_bytes(result));
    if (ranks.is_first()) bytes = packed(result);
    ranks.broadcast(std::span(bytes));
    if (!ranks.is_first()) unpack(bytes, result);
  }
  return result;
}

/// The whole sums of many at once, each on the rank that owner(its place) names, and unset on others. All ranks send
/// and receive at the same time; an owner holds what the others send it until all is there.
template <class Sum, class Owner>
std::vector<std::optional<Sum>> totals(std::vector<OrderedSum<Sum>>& sums, const Ranks& ranks, Owner owner) {
  using Nodes = std::vector<std::optional<Sum>>;
  std::vector<std::vector<Nodes>> by_rank(ranks.size(), std::vector<Nodes>(sums.size()));
  for (std::size_t i = 0; i < sums.size(); ++i) by_rank[ranks.rank()][i] = sums[i].take();
  for (std::size_t step = 1; step < ranks.size(); ++step) {
    const std::size_t to = (ranks.rank() + step) % ranks.size();
    const std::size_t from = (ranks.rank() + ranks.size() - step) % ranks.size();
    typename SumTrade<Sum>::Pieces sent, received;
    for (std::size_t i = 0; i < sums.size(); ++i) {
      if (owner(i) == to)
        for (std::optional<Sum>& sum : by_rank[ranks.rank()][i]) sent.push_back(&sum);
      if (owner(i) != ranks.rank()) continue;
      by_rank[from][i].resize(nodes_of_rank(ranks, sums[i].parts(), from).size());
      for (std::optional<Sum>& sum : by_rank[from][i]) received.push_back(&sum);
    }
    SumTrade<Sum>::trade(ranks, to, sent, from, received, sums.front().zero());
  }
  std::vector<std::optional<Sum>> result(sums.size());
  for (std::size_t i = 0; i < sums.size(); ++i) {
    if (owner(i) != ranks.rank()) continue;
    OrderedSum<Sum> whole(sums[i].zero(), sums[i].parts(), 0, sums[i].parts());
    for (std::size_t r = 0; r < ranks.size(); ++r) {
      const std::vector<SumNode> nodes = nodes_of_rank(ranks, sums[i].parts(), r);
      for (std::size_t n = 0; n < nodes.size(); ++n) whole.add(nodes[n], std::exchange(by_rank[r][i][n], std::nullopt));
    }
    result[i].emplace(whole.whole());
  }
  return result;
}

}  // namespace strata::quantize
