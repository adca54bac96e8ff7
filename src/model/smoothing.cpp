// Which linears read a site is a fact of their roles; what else reads it is said here.
#include "model/smoothing.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "core/hash.h"
#include "model/roles.h"
#include "model/scaled_source.h"
#include "model/tensors.h"

namespace strata::model {
namespace {

/// The norm that makes what is read at a site.
constexpr auto kNorms = std::to_array<std::pair<Site, Norm>>({{Site::attn_in, Norm::before_attention},
                                                              {Site::q_b_in, Norm::q_a},
                                                              {Site::kv_b_in, Norm::kv_a},
                                                              {Site::mlp_in, Norm::before_feed_forward}});

/// Whether down reads a product whose one factor is what up puts out.
bool multiplies_up(const Architecture& a, std::size_t block) {
  const bool plain =
      a.activation == Activation::silu || a.activation == Activation::gelu || a.activation == Activation::gelu_tanh;
  return plain && a.gated && a.feeds(block) && a.has(block, Role::up) && a.has(block, Role::down);
}

/// The linears of a block that read at a site.
void add_readers(const Architecture& a, std::size_t block, Site site, std::vector<std::size_t>& linears) {
  const BlockLinears& layout = a.layout[block];
  for (std::size_t l = layout.first; l < layout.first + layout.count; ++l)
    if (role_row(a.linears[l].role).site == site) linears.push_back(l);
}

std::vector<SmoothSite> sites_of_block(const Architecture& a, std::size_t block) {
  std::vector<SmoothSite> sites;
  const bool mixture = a.layout[block].mixture;
  for (const auto& [site, norm] : kNorms) {
    const bool also_mlp = norm == Norm::before_attention && a.parallel && !a.has(Norm::before_feed_forward, block);
    const bool routed = mixture && (site == Site::mlp_in || also_mlp);
    if (routed || a.norm_offset != 0.0f || !a.has(norm, block) || !a.has_weights(norm)) continue;
    SmoothSite found{block, site, {}, norm, a.norm_size(norm, block)};
    add_readers(a, block, site, found.linears);
    if (also_mlp) add_readers(a, block, Site::mlp_in, found.linears);
    if (!found.linears.empty()) sites.push_back(std::move(found));
  }
  if (!mixture && multiplies_up(a, block))
    sites.push_back({block, Site::down_in, {a.index(block, Role::down)}, std::nullopt, a.dense_size(block)});
  return sites;
}

/// Multiplies the factors of a tensor's rows or columns.
void add(std::vector<float>& factors, const std::vector<int>& exponents, int sign) {
  factors.resize(exponents.size(), 1.0f);
  for (std::size_t i = 0; i < exponents.size(); ++i) factors[i] = std::ldexp(factors[i], sign * exponents[i]);
}

}  // namespace

std::vector<SmoothSite> smooth_sites(const Model& model) {
  const Architecture& a = model.architecture();
  // An indexer reads what its block's linears do, and it is not among these.
  if (!a.why_not_runnable.empty() || a.whole_positions != 0) return {};
  const auto is_free = [&](std::size_t l) { return model.source_codec(l) == nullptr; };
  std::vector<SmoothSite> sites;
  for (std::size_t b = 0; b < a.blocks; ++b)
    for (SmoothSite& site : sites_of_block(a, b))
      if (std::ranges::all_of(site.linears, is_free) && (site.norm || is_free(a.index(b, Role::up))))
        sites.push_back(std::move(site));
  return sites;
}

Model Model::smoothed(const ChannelExponents& exponents) const {
  const std::vector<SmoothSite> sites = smooth_sites(*this);
  STRATA_CHECK(exponents.size() == sites.size(), "{} sites, not {}", exponents.size(), sites.size());
  FactorsByTensor factors;
  for (std::size_t i = 0; i < sites.size(); ++i) {
    if (exponents[i].empty()) continue;
    const SmoothSite& site = sites[i];
    STRATA_CHECK(exponents[i].size() == site.size, "site {} of {} channels, not {}", i, exponents[i].size(), site.size);
    for (const std::size_t l : site.linears)
      add(factors[architecture_.linears[l].module + ".weight"].columns, exponents[i], 1);
    if (site.norm) {
      add(factors[norm_name(architecture_, *site.norm, site.block)].rows, exponents[i], -1);
      if (architecture_.has_bias(*site.norm))
        add(factors[norm_bias_name(architecture_, *site.norm, site.block)].rows, exponents[i], -1);
      continue;
    }
    const Linear& up = architecture_.linear(site.block, Role::up);
    add(factors[up.module + ".weight"].rows, exponents[i], -1);
    if (up.bias) add(factors[up.module + ".bias"].rows, exponents[i], -1);
  }
  Model result = *this;
  if (factors.empty()) return result;
  std::uint64_t hash = fnv1a({});
  for (const std::vector<int>& site : exponents) hash = fnv1a(std::as_bytes(std::span(site)), hash);
  result.scaling_ = fmt::format(" smoothed {:016x}", hash);
  result.source_ = scaled(source_, std::move(factors));
  return result;
}

}  // namespace strata::model
