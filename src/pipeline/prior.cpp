// The rules, their file and what they make of a model.
// A rule that matches nothing in a model is no error: one table serves dense and mixture-of-experts models.
#include "pipeline/prior.h"

#include <cmath>

#include "pipeline/pins.h"

namespace strata::pipeline {

const json& Prior::builtin() {
  static const json rules = parse_json(R"json({"kind": "strata prior", "version": 1, "rules": [
    {"match": "\\.(gate|router)$", "keep": true, "why": "routers decide which expert runs and take next to no bytes"},
    {"match": "down_proj$|\\.w2$", "weight": 3, "why": "the inputs behind the activation hold the largest outliers"},
    {"match": "self_attn\\.(v_proj|o_proj)", "weight": 1.5, "why": "llama.cpp's mixes raise v and o before q and k"},
    {"match": "shared_expert|mlp\\.(gate|up|down)_proj$", "weight": 1.5,
     "why": "used by every token, unlike a routed expert"},
    {"match": "\\.experts\\.", "weight": 0.25, "why": "each is routed to by few tokens; attention comes first"},
    {"match": "", "blocks": {"first": 2}, "weight": 2, "why": "errors of the first blocks pass through all others"},
    {"match": "", "blocks": {"last": 1}, "weight": 1.5, "why": "nothing behind it makes its errors good"}
  ]})json",
                                       "the built-in prior");
  return rules;
}

Prior Prior::of(const PlanRequest& request) {
  return request.prior.is_null() ? from_json(builtin(), "the built-in prior") : from_json(request.prior, "--prior");
}

Prior Prior::from_json(const json& value, const std::string& where) {
  if (!value.is_object() || get_or<std::string>(value, "kind", "", where) != "strata prior")
    fail("{}: is not a file of rules; it begins with {{\"kind\": \"strata prior\", \"version\": 1, \"rules\": [",
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
      if (key != "match" && key != "weight" && key != "keep" && key != "blocks" && key != "why")
        fail("{}: '{}' is not known; a rule has match, weight or keep, blocks, why", place, key);
    Rule rule{compile_regex(get<std::string>(entry, "match", place), place)};
    rule.weight = get_or<double>(entry, "weight", 1.0, place);
    rule.keep = get_or<bool>(entry, "keep", false, place);
    if (!(rule.weight > 0.0) || rule.weight > 1e6)
      fail("{}: 'weight' is {}, expected above 0 and at most 1e6", place, rule.weight);
    if (rule.keep && entry.contains("weight")) fail("{}: 'keep' and 'weight' contradict each other", place);
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

std::vector<std::size_t> Prior::kept(const model::Architecture& a) const {
  std::vector<std::size_t> groups;
  for (const model::Linear& linear : a.linears)
    for (const Rule& rule : rules_)
      if (rule.keep && rule.applies(linear, a.blocks)) {
        groups.push_back(linear.group);
        break;
      }
  return groups;
}

Costs Prior::costs(const model::Architecture& a) const {
  Costs costs;
  costs.signal = "prior";
  for (const model::Linear& linear : a.linears) {
    const double weights = static_cast<double>(linear.rows) * static_cast<double>(linear.cols);
    double importance = weights;
    for (const Rule& rule : rules_)
      if (!rule.keep && rule.applies(linear, a.blocks)) importance *= rule.weight;
    std::map<const codec::Codec*, double>& row = costs.linears.emplace_back();
    for (const codec::Codec& codec : codec::all()) {
      if (!codec::why_not(codec, linear.rows, linear.cols).empty()) continue;
      const double bits = 8.0 * static_cast<double>(codec::stored_bytes(codec, linear.rows, linear.cols)) / weights;
      row[&codec] = codec.has_codes() ? importance * std::exp2(-2.0 * bits) : 0.0;
    }
  }
  return costs;
}

}  // namespace strata::pipeline
