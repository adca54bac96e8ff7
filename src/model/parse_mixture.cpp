// config.json -> experts: how many, how large, how tokens are routed, and which blocks have them.
// What is the same for all models of a family is in its row's Mixture.
#include <algorithm>

#include "model/config_values.h"
#include "model/mixture_keys.h"
#include "model/parse.h"

namespace strata::model {
namespace {

void parse_score(const json& config, const char* key, Experts& e, const std::string& where) {
  if (key == nullptr) return;
  const auto name = get_or<std::string>(config, key, "softmax", where);
  if (name != "softmax" && name != "sigmoid") fail("{}: '{}' is '{}', expected softmax or sigmoid", where, key, name);
  e.score = name == "sigmoid" ? Experts::Score::sigmoid : Experts::Score::softmax;
  if (e.score == Experts::Score::softmax) e.normalize = true;
}

/// Where they are averaged, the shared expert and all others together count a half each.
void parse_sum(const json& config, const char* key, Experts& e, const std::string& where) {
  if (key == nullptr || e.shared_intermediate == 0) return;
  const auto name = get_or<std::string>(config, key, "average", where);
  if (name != "average" && name != "sum") fail("{}: '{}' is '{}', expected average or sum", where, key, name);
  if (name == "sum") return;
  e.scale *= 0.5f;
  e.shared_scale = 0.5f;
}

void parse_experts(const json& config, const Mixture& mixture, Architecture& a, const std::string& where) {
  constexpr std::size_t most_experts = std::size_t{1} << 17;  // in all blocks together
  Experts& e = a.experts = mixture.experts;
  const char* count_key = mixture.count_key;
  for (const char* key : {"num_local_experts", "n_routed_experts"})
    if (config.contains(key)) count_key = key;
  e.count = size_of(config, count_key, where);
  e.used = size_of(config, mixture.used_key, where);
  if (mixture.latent_key != nullptr) e.latent = size_or(config, mixture.latent_key, 0, where);
  e.intermediate = size_of(config, mixture.size_key, where);
  if (e.count * a.blocks > most_experts || e.count * e.intermediate > kLargestSize)
    fail("{}: '{}' is {}, too many for {} blocks of experts with {} rows", where, count_key, e.count, a.blocks,
         e.intermediate);
  if (e.used > e.count) fail("{}: '{}' is {}, but there are {} experts", where, mixture.used_key, e.used, e.count);
  if (mixture.correction_key != nullptr) e.correction = get_or<bool>(config, mixture.correction_key, true, where);
  if (e.score == Experts::Score::sparse) {
    const auto noise = get_or<double>(config, "router_jitter_noise", 0.01, where);
    if (!(noise >= 0.0 && noise < 1.0)) fail("{}: 'router_jitter_noise' is {}, expected 0 to 1", where, noise);
    e.nearness = static_cast<float>(2 * noise);
  }
  if (!mixture.always_normalizes) e.normalize = get_or<bool>(config, "norm_topk_prob", e.normalize, where);
  parse_score(config, mixture.score_key, e, where);
  if (const char* key = mixture.shared_size_key; key != nullptr && (e.shared_gate || config.value(key, json()) != 0))
    e.shared_intermediate = size_of(config, key, where);
  if (mixture.shared_count_key != nullptr) {
    e.shared_intermediate = get_or<std::uint64_t>(config, mixture.shared_count_key, 0, where);
    if (e.shared_intermediate > kLargestSize)
      fail("{}: '{}' is {}", where, mixture.shared_count_key, e.shared_intermediate);
    e.shared_intermediate *= e.intermediate;
    if (e.shared_intermediate > kLargestSize)
      fail("{}: the shared expert has {} rows, expected at most {}", where, e.shared_intermediate, kLargestSize);
  }
  if (e.score == Experts::Score::sigmoid || mixture.grouped) {
    e.scale = static_cast<float>(positive(config, "routed_scaling_factor", 1.0, where));
    if (mixture.method_key != nullptr && get_or<std::string>(config, mixture.method_key, "greedy", where) == "greedy")
      return;
    e.groups = size_or(config, "n_group", 1, where);
    e.groups_used = size_or(config, "topk_group", 1, where);
    if (e.count % e.groups != 0 || e.groups_used > e.groups || e.count / e.groups < e.group_best ||
        e.used > e.count / e.groups * e.groups_used)
      fail("{}: {} of {} experts cannot be chosen from {} of 'n_group' {}", where, e.used, e.count, e.groups_used,
           e.groups);
  }
}

/// config.json with one number in place of a list that has the same one for every block.
json of_all_blocks(const json& given, const Mixture& mixture, const std::string& where) {
  json config = given;
  for (const char* key : {mixture.used_key, mixture.size_key, mixture.shared_count_key}) {
    if (key == nullptr || !config.contains(key) || !config[key].is_array() || config[key].empty()) continue;
    const json list = config[key];
    if (std::ranges::any_of(list, [&](const json& value) { return value != list.front(); }))
      fail("{}: '{}' is {}; experts that differ from block to block are not supported", where, key, brief(list));
    config[key] = list.front();
  }
  return config;
}

/// The indices of mixtures in a list of config.json; others are ignored.
void mark(const json& config, const char* key, bool mixture, Architecture& a, const std::string& where) {
  for (const auto block : get<std::vector<std::uint64_t>>(config, key, where))
    if (block < a.blocks) a.layout[block].mixture = mixture;
}

}  // namespace

void parse_mixture(const json& given, const Mixture* mixture, Architecture& a, const std::string& where) {
  a.layout.assign(a.blocks, {0, 0, false});
  if (mixture == nullptr) return;
  const json config = of_all_blocks(given, *mixture, where);
  if (mixture->may_be_none && get_or<std::uint64_t>(config, mixture->count_key, 0, where) == 0) return;
  if (mixture->enabled_key != nullptr && !get_or<bool>(config, mixture->enabled_key, false, where)) return;
  parse_experts(config, *mixture, a, where);
  parse_sum(config, mixture->sum_key, a.experts, where);
  if (mixture->list_key != nullptr && has_value(config, mixture->list_key))
    return mark(config, mixture->list_key, true, a, where);
  std::uint64_t first = get_or<std::uint64_t>(config, "first_k_dense_replace", mixture->first_dense, where);
  if (mixture->first_key != nullptr) first = get_or<std::uint64_t>(config, mixture->first_key, first, where);
  std::int64_t last = -1;
  if (mixture->last_key != nullptr) last = get_or<std::int64_t>(config, mixture->last_key, -1, where);
  const std::size_t step = size_or(config, mixture->step_key, 1, where);
  for (std::size_t b = 0; b < a.blocks; ++b)
    a.layout[b].mixture = b >= first && (last < 0 || std::cmp_less_equal(b, last)) && (b + 1) % step == 0;
  const std::vector<std::string> kinds = names_by_block(config, "mlp_layer_types", a.blocks, where);
  for (std::size_t b = 0; b < kinds.size(); ++b) a.layout[b].mixture = kinds[b] == "sparse";
  if (has_value(config, "mlp_only_layers")) mark(config, "mlp_only_layers", false, a, where);
}

}  // namespace strata::model
