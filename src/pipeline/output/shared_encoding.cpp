// A linear goes to the rank that has fewest weights so far, so that ranks have about as many, and go on side by side.
// Linears of a rank come in their order; one that nobody asked for is received and let go.
#include "pipeline/output/shared_encoding.h"

#include <algorithm>
#include <utility>

namespace strata::pipeline {

SharedEncoding::SharedEncoding(const model::Architecture& architecture, const Codecs& codecs,
                               std::vector<std::size_t> linears, const Ranks& ranks)
    : architecture_(architecture),
      codecs_(codecs),
      ranks_(ranks),
      by_rank_(ranks.size()),
      owners_(architecture.linears.size(), ranks.size()),
      taken_(ranks.size(), 0) {
  std::vector<std::size_t> weights(ranks.size(), 0);
  for (const std::size_t l : linears) {
    const auto least = static_cast<std::size_t>(std::ranges::min_element(weights) - weights.begin());
    weights[least] += architecture.linears[l].rows * architecture.linears[l].cols;
    by_rank_[least].push_back(l);
    owners_[l] = least;
  }
}

std::shared_ptr<const codec::Stored> SharedEncoding::receive(std::size_t l) const {
  const model::Linear& linear = architecture_.linears[l];
  auto stored = std::make_shared<codec::Stored>(codec::allocate(*codecs_[l], linear.rows, linear.cols));
  for (std::vector<std::byte>& part : stored->parts) ranks_.receive(owners_[l], std::span(part));
  return stored;
}

std::shared_ptr<const codec::Stored> SharedEncoding::take(std::size_t linear) {
  const std::size_t owner = owners_[linear];
  if (owner == 0 || owner == ranks_.size()) return nullptr;
  const std::vector<std::size_t>& own = by_rank_[owner];
  std::shared_ptr<const codec::Stored> stored;
  while (taken_[owner] < own.size() && own[taken_[owner]] <= linear) {
    stored = receive(own[taken_[owner]]);
    if (own[taken_[owner]++] != linear) stored = nullptr;
  }
  return stored;
}

void SharedEncoding::end() {
  for (std::size_t r = 1; r < ranks_.size(); ++r)
    for (; taken_[r] < by_rank_[r].size(); ++taken_[r]) receive(by_rank_[r][taken_[r]]);
}

std::size_t SharedEncoding::next(std::size_t linear) const {
  const std::vector<std::size_t>& own = by_rank_[ranks_.rank()];
  const auto after = std::ranges::upper_bound(own, linear);
  return after == own.end() ? owners_.size() : *after;
}

void SharedEncoding::help(LinearEncoder& encoder) const {
  for (const std::size_t l : by_rank_[ranks_.rank()])
    for (const std::span<const std::byte> part : encoder.linear(l)->views) ranks_.send(0, part);
}

}  // namespace strata::pipeline
