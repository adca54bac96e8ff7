// Rows are taken by a hash of their place in the set, so that no position of a text is taken more often than others:
// the first token of a sequence often has activations unlike all others.
#include "importance/input_errors.h"

#include <algorithm>
#include <numeric>

#include "core/checked.h"
#include "kernel/round_rows.h"

namespace strata::importance {
namespace {

using engine::Site;

/// Whether a token is in the sample. place: among all tokens of the set.
bool is_sampled(std::size_t place, std::size_t tokens) {
  constexpr std::uint64_t kGoldenRatio = 0x9E3779B97F4A7C15u;
  const std::uint64_t step = std::max<std::size_t>(1, ceil_div(tokens, InputErrors::kSampledTokens));
  return (place * kGoldenRatio >> 32) % step == 0;
}

}  // namespace

void InputErrors::add(Sample& sample, const SiteRows& rows) {
  sample.size = rows.size;
  const std::size_t first = rows.first_sequence * rows.tokens, all = rows.all_sequences * rows.tokens;
  for (std::size_t t = 0; t < rows.sequences * rows.tokens; ++t)
    if (is_sampled(first + t, all)) sample.add(rows.rows + t * rows.size);
}

void InputErrors::begin(std::size_t block) {
  if (block == block_) return;
  block_ = block;
  sites_.clear();
  experts_down_ = head_ = {};
}

void InputErrors::observe(const SiteRows& rows) {
  begin(rows.block);
  if (std::ranges::find(engine::kLinearSites, rows.site) != engine::kLinearSites.end()) add(sites_[rows.site], rows);
  if (const std::optional<SiteRows> head = head_input_.of(rows)) add(head_, *head);
}

void InputErrors::observe_expert(const PassExpertRows& pass) {
  const engine::ExpertRows& rows = pass.rows;
  if (!rows.routed || rows.site != Site::down_in) return;
  experts_down_.size = rows.size;
  const std::size_t first = pass.first_sequence * pass.tokens, all = pass.all_sequences * pass.tokens;
  for (std::size_t i = 0; i < rows.tokens.size(); ++i)
    if (const std::size_t place = first + rows.tokens[i]; is_sampled(place, all)) {
      experts_down_.add(rows.rows + i * rows.size);
      experts_down_.places.push_back(place * architecture_.experts.count + rows.expert);
    }
}

void InputErrors::Sample::share(const Ranks& ranks) {
  ranks.share_largest(std::span(&size, 1));  // 0 where a rank has seen nothing
  rows = ranks.collect_for_all(rows);
  places = ranks.collect_for_all(places);
}

void InputErrors::Sample::sort() {
  std::vector<std::size_t> order(places.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return places[i]; });
  Sample sorted{.size = size, .rows = {}, .places = {}};
  for (const std::size_t i : order) sorted.add(rows.data() + i * size);
  rows = std::move(sorted.rows);
}

void InputErrors::complete(std::size_t block, const Ranks& ranks) {
  begin(block);  // where this rank has seen no sequence
  if (ranks.many()) {
    for (const Site site : engine::kLinearSites) {
      sites_[site].share(ranks);
      if (sites_[site].rows.empty()) sites_.erase(site);
    }
    experts_down_.share(ranks);
    head_.share(ranks);
  }
  experts_down_.sort();
}

std::vector<double> InputErrors::shares(const model::Linear& linear, const codec::ActivationRounding& rounding) const {
  const Site site = engine::input_site(architecture_, linear);
  const bool in_experts = linear.routed() && site == Site::down_in;
  const bool head = linear.block == model::kNoBlock;
  const auto found = sites_.find(site);
  STRATA_CHECK(head || in_experts || found != sites_.end(), "{}: no rows", linear.module);
  const Sample& sample = head ? head_ : in_experts ? experts_down_ : found->second;
  std::vector<float> rounded(sample.rows.size());
  std::vector<double> errors(linear.cols), squares(linear.cols);
  if (!rounded.empty()) {
    STRATA_CHECK(sample.size == linear.cols, "{}: rows of {}", linear.module, sample.size);
    kernel::round_rows(rounding, sample.rows.data(), rounded.size() / sample.size, sample.size, rounded.data());
  }
  for (std::size_t i = 0; i < rounded.size(); ++i) {
    const auto x = static_cast<double>(sample.rows[i]), error = x - static_cast<double>(rounded[i]);
    errors[i % linear.cols] += error * error;
    squares[i % linear.cols] += x * x;
  }
  const auto share = [](double error, double square) { return square > 0.0 ? error / square : 0.0; };
  const auto sum = [](const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); };
  std::vector<double> result(linear.cols, share(sum(errors), sum(squares)));
  for (std::size_t c = 0; c < result.size() && !in_experts; ++c) result[c] = share(errors[c], squares[c]);
  return result;
}

}  // namespace strata::importance
