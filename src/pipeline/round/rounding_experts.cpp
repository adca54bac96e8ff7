// Experts are rounded as many at a time as have room for their Hessians: gate and up on the inputs that the router
// sends to an expert, then down on what the rounded ones make of those. An expert that receives fewer tokens
// than a linear has inputs would have a singular Hessian, so it is given all tokens instead.
#include <algorithm>

#include "pipeline/round/rounding.h"
#include "quantize/shared_sum.h"

namespace strata::pipeline {
namespace {

using engine::Site;
using model::Role;

// Of the Hessians of the experts that are rounded together, with the sums of parts that become each.
constexpr std::size_t kHessianBytes = std::size_t{256} << 20;

}  // namespace

/// Counts the tokens of the calibration set that the router sends to each expert.
std::vector<std::size_t> Rounding::count_routed(std::size_t block) {
  std::vector<std::size_t> routed(model_.architecture().experts.count, 0);
  const engine::ExpertWatch watch{.show =
                                      [&](const engine::ExpertRows& rows) {
                                        if (rows.site == Site::mlp_in) routed[rows.expert] += rows.tokens.size();
                                      },
                                  .feed_all = nullptr};
  const engine::Watching watching(engine_, &watch);
  run(block, engine::Half::feed_forward, nullptr, Site::mlp_in);
  std::vector<std::size_t> of_rank(routed.size() * setup_.ranks.size());
  std::ranges::copy(routed, of_rank.begin() + static_cast<std::ptrdiff_t>(routed.size() * setup_.ranks.rank()));
  setup_.ranks.share_all(std::span(of_rank), routed.size());
  std::ranges::fill(routed, 0);
  for (std::size_t i = 0; i < of_rank.size(); ++i) routed[i % routed.size()] += of_rank[i];
  return routed;
}

std::vector<quantize::Hessian> Rounding::collect_experts(std::size_t block, Site site, std::size_t first,
                                                         std::size_t end, const std::vector<std::size_t>& routed) {
  const model::Experts& experts = model_.architecture().experts;
  const std::size_t size = site == Site::mlp_in ? model_.architecture().expert_size() : experts.intermediate;
  std::vector<quantize::OrderedSum<quantize::Hessian>> sums(
      end - first, {[=] { return quantize::Hessian(size); }, parts_.count(), parts_.first(), parts_.end()});
  const auto few = [&](std::size_t expert) { return routed[expert] < size; };
  const engine::ExpertWatch watch{.show =
                                      [&](const engine::ExpertRows& rows) {
                                        if (rows.site == site && rows.routed != few(rows.expert))
                                          sums[rows.expert - first]
                                              .of_part(parts_.of(batch_first_))
                                              .add_lower(rows.rows, rows.tokens.size(), kRoundingPrecision);
                                      },
                                  .feed_all = [&](std::size_t expert, std::size_t) { return few(expert); },
                                  .first = first,
                                  .end = end};
  const engine::Watching watching(engine_, &watch);
  run(block, engine::Half::feed_forward, nullptr, site);
  auto of_own = quantize::totals(sums, setup_.ranks, [&](std::size_t i) { return rank_of_expert(first + i); });
  std::vector<quantize::Hessian> hessians;
  for (std::optional<quantize::Hessian>& total : of_own) {
    hessians.push_back(total ? std::move(*total) : quantize::Hessian(1));
    hessians.back().mirror();
  }
  return hessians;
}

/// Every rank gets what one rank has rounded.
void Rounding::share_rounded(std::size_t l, std::size_t from) {
  if (!setup_.ranks.many()) return;
  const bool mine = from == setup_.ranks.rank();
  json result;
  if (mine) {
    const std::string& module = model_.architecture().linears[l].module;
    result = std::ranges::find(results_.rbegin(), results_.rend(), module, &RoundedLinear::module)->to_json();
  }
  setup_.ranks.broadcast(result, from);
  share_stored(l, from);
  if (mine) return;
  results_.push_back(RoundedLinear::from_json(result, "what another rank sent"));
  if (setup_.listener) setup_.listener(results_.back());
  progress_.advance();
}

void Rounding::round_expert_roles(std::size_t block, std::span<const Role> roles, std::size_t first, std::size_t end,
                                  std::span<const quantize::Hessian> hessians, std::span<const std::size_t> routed) {
  const model::Architecture& a = model_.architecture();
  const Ranks& ranks = setup_.ranks;
  for (std::size_t e = first; e < end; ++e) {
    std::vector<std::size_t> linears;
    for (const Role role : roles) linears.push_back(a.index(block, role, e));
    if (rank_of_expert(e) == ranks.rank()) round(linears, {hessians[e - first], {}}, Ranks(), routed[e]);
  }
  for (std::size_t e = first; e < end; ++e)
    for (const Role role : roles) {
      const std::size_t l = a.index(block, role, e), from = rank_of_expert(e);
      if (is_in_source(l) && from != ranks.rank()) take_from_source(l);
      if (!is_in_source(l)) share_rounded(l, from);
      replacing_.set(l, {{}, &stored_.at(l)});
      model_.release(a.linears[l].module + ".weight");
    }
}

std::size_t Rounding::round_experts(std::size_t block) {
  const model::Architecture& a = model_.architecture();
  // The experts of a block share their codecs, so expert 0 says which roles have codes. Other roles stay.
  const auto coded = [&](Role role, std::size_t expert) { return codecs_[a.index(block, role, expert)]->has_codes(); };
  const std::span<const Role> all = a.expert_roles();
  const std::size_t behind = a.layout[block].first_expert + a.experts.count * all.size();
  if (std::ranges::none_of(all, [&](Role role) { return coded(role, 0); })) return behind;
  const auto rounds = [&](std::span<const Role> roles) {
    for (std::size_t e = 0; e < a.experts.count; ++e)
      for (const Role role : roles)
        if (must_round(a.index(block, role, e))) return true;
    return false;
  };
  std::vector<std::size_t> routed(a.experts.count, 0);
  if (rounds(all)) routed = count_routed(block);
  const std::size_t widest = std::max(a.expert_size(), a.experts.intermediate);
  const std::size_t held = std::min(quantize::kSumsHeld, parts_.count());
  const std::size_t together = std::max<std::size_t>(1, kHessianBytes / (held * widest * widest * sizeof(float)));
  for (std::size_t first = 0; first < a.experts.count; first += together) {
    const std::size_t end = std::min(a.experts.count, first + together);
    for (const Site site : {Site::mlp_in, Site::down_in}) {
      std::vector<Role> roles(all.begin(), all.end());
      std::erase_if(roles, [&](Role role) { return engine::input_site(role) != site || !coded(role, 0); });
      if (roles.empty()) continue;
      std::vector<quantize::Hessian> hessians(end - first, quantize::Hessian(1));  // of no use to what is in the source
      if (rounds(roles)) hessians = collect_experts(block, site, first, end, routed);
      round_expert_roles(block, roles, first, end, hessians, routed);
    }
  }
  return behind;
}

}  // namespace strata::pipeline
