// Factors say an order, not a loss: each is the least that puts one kind of linear before another.
// Norms and routers are no linears that strata quantizes, which is the first rule of all these papers.
#include "importance/prior.h"

#include <algorithm>
#include <cmath>
#include <regex>

#include "importance/signal.h"

namespace strata::importance {
namespace {

const std::vector<PriorRule>& rules() {
  static const std::vector<PriorRule> kRules = {
      {"\\.down_proj$", 0.0, 1.0, 3.0, "down_proj first: llama.cpp's K mixes; arXiv 2411.07191 (super weights)"},
      {"\\.self_attn\\.", 0.0, 1.0, 1.5, "attention above feed-forward: arXiv 2406.08155 (mixture of experts)"},
      {"\\.experts\\.", 0.0, 1.0, 0.5, "routed experts below shared ones and dense layers: arXiv 2406.08155"},
      {".", 0.0, 0.125, 1.6, "first blocks: llama.cpp's K mixes; arXiv 2403.17887 (deeper layers can go)"},
      {".", 0.875, 1.0, 1.25, "last blocks, below the first ones: llama.cpp's K mixes"},
      {"lm_head$", 0.0, 1.0, 4.0, "the output matrix before all: llama.cpp's K mixes"},
  };
  return kRules;
}

bool concerns(const PriorRule& rule, std::size_t block, std::size_t blocks) {
  if (block >= blocks) return rule.first <= 0.0 && rule.last >= 1.0;
  // The middle of the block, so that a share of 1/8 of 32 blocks is the first four.
  const double depth = (static_cast<double>(block) + 0.5) / static_cast<double>(blocks);
  return depth >= rule.first && depth <= rule.last;
}

}  // namespace

std::span<const PriorRule> prior_rules() { return rules(); }

std::vector<double> prior(const model::Architecture& a, std::span<const PriorRule> rules) {
  std::vector<double> result(a.groups.size(), 0.0);
  std::vector<double> factors(a.linears.size(), 1.0);
  for (const PriorRule& rule : rules) {
    std::regex expression;
    try {
      expression.assign(rule.match);
    } catch (const std::regex_error&) {
      fail("prior: '{}' is no regular expression", rule.match);
    }
    for (std::size_t l = 0; l < a.linears.size(); ++l)
      if (concerns(rule, a.linears[l].block, a.blocks) && std::regex_search(a.linears[l].module, expression))
        factors[l] *= rule.factor;
  }
  for (std::size_t l = 0; l < a.linears.size(); ++l)
    result[a.linears[l].group] = std::max(result[a.linears[l].group], factors[l]);
  return result;
}

std::vector<double> prior(const model::Architecture& a) { return prior(a, rules()); }

json to_json(std::span<const PriorRule> rules) {
  json list = json::array();
  for (const PriorRule& rule : rules)
    list.push_back(
        {{"match", rule.match}, {"blocks", {rule.first, rule.last}}, {"factor", rule.factor}, {"source", rule.source}});
  return {{"rules", std::move(list)}};
}

std::vector<PriorRule> prior_rules_from_json(const json& value, const std::string& where) {
  std::vector<PriorRule> result;
  if (!value.is_object() || !value.contains("rules") || !value["rules"].is_array())
    fail("{}: is no table of prior rules; it needs a list 'rules' (docs/signals.md)", where);
  for (const json& entry : value["rules"]) {
    const std::string at = fmt::format("{}: rule {}", where, result.size() + 1);
    PriorRule rule;
    rule.match = get<std::string>(entry, "match", at);
    rule.factor = get<double>(entry, "factor", at);
    rule.source = get_or<std::string>(entry, "source", "", at);
    const auto blocks = get_or<std::vector<double>>(entry, "blocks", {0.0, 1.0}, at);
    if (!(rule.factor > 0.0) || !std::isfinite(rule.factor)) fail("{}: 'factor' is {}, not positive", at, rule.factor);
    if (blocks.size() != 2 || !(0.0 <= blocks[0] && blocks[0] <= blocks[1] && blocks[1] <= 1.0))
      fail("{}: 'blocks' must be two rising shares of the depth, such as [0, 0.125]", at);
    rule.first = blocks[0];
    rule.last = blocks[1];
    result.push_back(std::move(rule));
  }
  return result;
}

}  // namespace strata::importance
