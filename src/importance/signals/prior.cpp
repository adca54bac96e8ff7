// The rules, their file and what they make of a model. The weights of rules mean an order, not a loss.
// A rule that matches nothing in a model is no error: one table serves dense and mixture-of-experts models.
#include "importance/signals/prior.h"

#include <algorithm>

#include "core/expression.h"
#include "importance/signal.h"

namespace strata::importance {

namespace {

/// The rules of docs/allocation.md, as their file would hold them.
constexpr const char* kLiterature = R"json({"format": "strata prior", "version": 1, "rules": [
    {"match": "\\.(gate|router)$", "keep": true, "why": "routers decide which expert runs and take next to no bytes"},
    {"match": "lm_head$", "weight": 5, "why": "llama.cpp's mixes keep the output matrix before all others"},
    {"match": "down_proj$|\\.w2$", "weight": 3, "why": "the inputs after the activation hold the largest outliers"},
    {"match": "self_attn\\.(v_proj|o_proj|out_proj)", "weight": 1.5, "why": "llama.cpp's mixes raise v and o before q and k"},
    {"match": "(linear_attn|mamba|mixer)\\.out_proj$|linear_attn\\.o_proj$", "weight": 5,
     "why": "of 121 mixes of Qwen3.5 those that round ssm_out lose most, and it is small"},
    {"match": "linear_attn\\.(in_proj_(a|b|ba)|[ab]_proj)$", "keep": true,
     "why": "they say what a state forgets, so that their errors last for the whole text; they take next to no bytes"},
    {"match": "self_attn\\.|linear_attn\\.(in_proj_(qkv|qkvz|z)|[qkvg]_proj)$",
     "beside": "(linear_attn|mamba|mixer)\\.out_proj$|linear_attn\\.o_proj$", "weight": 2,
     "why": "attention of a hybrid is sensitive, of every kind"},
    {"match": "shared_expert|mlp\\.(gate|up|down)_proj$", "weight": 1.5,
     "why": "used by every token, unlike a routed expert"},
    {"match": "\\.experts\\.", "weight": 0.25, "why": "each is routed to by few tokens; attention comes first"},
    {"match": "", "blocks": {"first": 2}, "weight": 2, "why": "errors of the first blocks pass through all others"},
    {"match": "", "blocks": {"last": 1}, "weight": 1.5, "why": "nothing after it makes its errors good"}
  ]})json";

}  // namespace

const Prior& Prior::literature() {
  static const Prior prior = from_json(parse_json(kLiterature, "the built-in prior"), "the built-in prior");
  return prior;
}

Prior Prior::from_json(const json& value, const std::string& where) {
  // "kind" may stand for "format".
  if (!value.is_object() ||
      get_or(value, "format", get_or<std::string>(value, "kind", "", where), where) != "strata prior")
    fail("{}: is not a file of rules; it begins with {{\"format\": \"strata prior\", \"version\": 1, \"rules\": [",
         where);
  if (const auto version = get<int>(value, "version", where); version != 1)
    fail("{}: version {} of the rules is not known here (expected 1)", where, version);
  const auto list = value.find("rules");
  if (list == value.end() || !list->is_array()) fail("{}: 'rules' is missing", where);
  Prior prior;
  for (const json& entry : *list) {
    const std::string place = fmt::format("{}: rule {}", where, prior.rules_.size() + 1);
    if (!entry.is_object()) fail("{}: is not an object", place);
    for (const auto& [key, unused] : entry.items())
      if (key != "match" && key != "weight" && key != "keep" && key != "beside" && key != "blocks" && key != "why")
        fail("{}: '{}' is not known; a rule has match, weight or keep, beside, blocks, why", place, key);
    Rule rule{compile_regex(get<std::string>(entry, "match", place), place)};
    rule.weight = get_or<double>(entry, "weight", 1.0, place);
    rule.keep = get_or<bool>(entry, "keep", false, place);
    if (!(rule.weight > 0.0) || rule.weight > 1e6)
      fail("{}: 'weight' is {}, expected above 0 and at most 1e6", place, rule.weight);
    if (rule.keep && entry.contains("weight")) fail("{}: 'keep' and 'weight' contradict each other", place);
    if (entry.contains("beside")) rule.beside = compile_regex(get<std::string>(entry, "beside", place), place);
    if (const auto blocks = entry.find("blocks"); blocks != entry.end()) {
      if (!blocks->is_object()) fail("{}: 'blocks' is not an object such as {{\"first\": 2}}", place);
      rule.first_blocks = get_or<std::size_t>(*blocks, "first", 0, place);
      rule.last_blocks = get_or<std::size_t>(*blocks, "last", 0, place);
      if (rule.first_blocks + rule.last_blocks == 0) fail("{}: 'blocks' has neither 'first' nor 'last'", place);
    }
    prior.rules_.push_back(std::move(rule));
  }
  return prior;
}

bool Prior::Rule::applies(const model::Linear& linear, std::size_t blocks) const {
  if (first_blocks + last_blocks > 0) {
    if (linear.block == model::kNoBlock) return false;
    if (linear.block >= first_blocks && blocks - linear.block > last_blocks) return false;
  }
  return std::regex_search(linear.module, match);
}

std::vector<const Prior::Rule*> Prior::rules_of(const model::Architecture& a) const {
  std::vector<const Rule*> rules;
  for (const Rule& rule : rules_) {
    const auto is_beside = [&](const model::Linear& linear) { return std::regex_search(linear.module, *rule.beside); };
    if (!rule.beside || std::ranges::any_of(a.linears, is_beside)) rules.push_back(&rule);
  }
  return rules;
}

std::vector<std::size_t> Prior::kept(const model::Architecture& a) const {
  const std::vector<const Rule*> rules = rules_of(a);
  std::vector<std::size_t> groups;
  for (const model::Linear& linear : a.linears) {
    const auto keeps = [&](const Rule* rule) { return rule->keep && rule->applies(linear, a.blocks); };
    if (std::ranges::any_of(rules, keeps)) groups.push_back(linear.group);
  }
  return groups;
}

std::vector<double> Prior::of_linears(const model::Architecture& a) const {
  const std::vector<const Rule*> rules = rules_of(a);
  std::vector<double> result(a.linears.size(), 1.0);
  for (std::size_t l = 0; l < a.linears.size(); ++l)
    for (const Rule* rule : rules)
      if (!rule->keep && rule->applies(a.linears[l], a.blocks)) result[l] *= rule->weight;
  return result;
}

std::vector<double> Prior::of_groups(const model::Architecture& a) const {
  std::vector<double> result(a.groups.size(), 0.0);
  const std::vector<double> linears = of_linears(a);
  for (std::size_t l = 0; l < a.linears.size(); ++l)
    result[a.linears[l].group] = std::max(result[a.linears[l].group], linears[l]);
  return result;
}

std::vector<double> prior(const model::Architecture& a) { return Prior::literature().of_groups(a); }

}  // namespace strata::importance
