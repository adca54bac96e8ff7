// What no key says of an architecture's experts, llama.cpp knows by its name: the row's GgufExperts.
// What no row says is the family's own rule, the same in both kinds of file.
#include "model/gguf/experts.h"

#include "model/gguf/config.h"
#include "model/gguf/keys.h"
#include "model/mixture_keys.h"

namespace strata::model {
namespace {

constexpr const char* kCount = ".expert_count";
constexpr const char* kUsed = ".expert_used_count";
constexpr const char* kSize = ".expert_feed_forward_length";
constexpr const char* kSharedCount = ".expert_shared_count";
constexpr const char* kSharedSize = ".expert_shared_feed_forward_length";
constexpr const char* kNormalize = ".expert_weights_norm";
constexpr const char* kScale = ".expert_weights_scale";
constexpr const char* kScore = ".expert_gating_func";
constexpr const char* kFirst = ".leading_dense_block_count";
constexpr const char* kStep = ".interleave_moe_layer_step";
constexpr const char* kExpertGroups = ".expert_group_count";
constexpr const char* kExpertGroupsUsed = ".expert_group_used_count";
constexpr const char* kLatent = ".moe_latent_size";

/// llama.cpp's numbers of what makes weights of the router's logits.
std::uint32_t score_number(Experts::Score score) { return score == Experts::Score::sigmoid ? 2 : 1; }

/// The index of the first mixture, and the step whose multiples are the mixtures' numbers, counted from 1.
std::pair<std::size_t, std::size_t> places(const Architecture& a) {
  std::size_t first = 0;
  while (first < a.blocks && !a.layout[first].mixture) ++first;
  std::size_t next = first + 1;
  while (next < a.blocks && !a.layout[next].mixture) ++next;
  return {first, next < a.blocks ? next - first : first + 1};
}

}  // namespace

void add_expert_keys(format::GgufKeys& keys, const GgufFamily& row, const Architecture& a) {
  const Experts& e = a.experts;
  if (e.count == 0) return;
  const std::string arch(row.name);
  const auto size = [&](const char* key, std::size_t value) {
    keys.add(arch + key, static_cast<std::uint32_t>(value));
  };
  size(kCount, e.count);
  size(kUsed, e.used);
  size(kSize, e.intermediate);
  if (row.experts.shared_keys && row.experts.shared_count) size(kSharedCount, e.shared_intermediate / e.intermediate);
  if (row.experts.shared_keys) size(kSharedSize, e.shared_intermediate);
  if (e.latent != 0) size(kLatent, e.latent);
  const auto [first, step] = places(a);
  if (row.experts.first_key) size(kFirst, first);
  if (row.experts.step_key) size(kStep, step);
  if (row.experts.group_keys && e.groups > 1) {
    size(kExpertGroups, e.groups);
    size(kExpertGroupsUsed, e.groups_used);
  }
  if (row.experts.normalize_key) keys.add(arch + kNormalize, e.normalize);
  if (row.experts.scale_key) keys.add(arch + kScale, e.scale);
  if (row.experts.score_key) size(kScore, score_number(e.score));
}

bool scores_alike(const format::GgufFile& gguf, const GgufFamily& row, const Family& family) {
  const std::string key = std::string(row.name) + kScore;
  return family.mixture == nullptr || family.mixture->score_key != nullptr || !row.experts.score_key ||
         !gguf.has(key) || gguf.integer(key) == score_number(family.mixture->experts.score);
}

bool shared_alike(const format::GgufFile& gguf, const GgufFamily& row, const Family& family) {
  if (!has_experts(gguf) || !row.experts.in_length) return true;
  const std::string key = std::string(row.name) + kSharedSize;
  return (gguf.has(key) && gguf.integer(key) != 0) == (family.mixture->shared_size_key != nullptr);
}

bool has_experts(const format::GgufFile& gguf) {
  const std::string key = gguf.text("general.architecture") + kCount;
  return gguf.has(key) && gguf.integer(key) != 0;
}

void add_expert_config(json& config, const format::GgufFile& gguf, const GgufFamily& row, const Family& family,
                       const std::string& where) {
  if (family.mixture == nullptr) return;
  const Mixture& mixture = *family.mixture;
  if (mixture.enabled_key != nullptr) config[mixture.enabled_key] = has_experts(gguf);
  if (!has_experts(gguf)) {
    if (mixture.may_be_none) config[mixture.count_key] = 0;
    return;
  }
  const std::string arch(row.name);
  const auto copy = [&](const char* to, const char* key) {
    if (to != nullptr && gguf.has(arch + key)) config[to] = gguf.integer(arch + key);
  };
  config[mixture.count_key] = gguf.integer(arch + kCount);
  config[mixture.used_key] = gguf.integer(arch + kUsed);
  copy(mixture.size_key, row.experts.in_length ? gguf_key::kWidth : kSize);
  copy(mixture.latent_key, kLatent);
  if (row.experts.shared_keys) {
    copy(mixture.shared_count_key, kSharedCount);
    copy(mixture.shared_size_key, kSharedSize);
  }
  if (row.experts.first_key && !mixture.lists_kinds)
    copy(mixture.first_key != nullptr ? mixture.first_key : "first_k_dense_replace", kFirst);
  if (row.experts.first_key && mixture.lists_kinds && gguf.has(arch + kFirst)) {
    json kinds = json::array();
    for (std::uint64_t b = 0; b < config["num_hidden_layers"].get<std::uint64_t>(); ++b)
      kinds.push_back(b < gguf.integer(arch + kFirst) ? "dense" : "sparse");
    config["mlp_layer_types"] = std::move(kinds);
  }
  if (row.experts.step_key) copy(mixture.step_key, kStep);
  if (row.experts.group_keys) {
    const bool grouped = gguf.has(arch + kExpertGroups) && gguf.integer(arch + kExpertGroups) > 1;
    config["n_group"] = grouped ? gguf.integer(arch + kExpertGroups) : 1;
    config["topk_group"] = grouped ? gguf.integer(arch + kExpertGroupsUsed) : 1;
    if (mixture.method_key != nullptr) config[mixture.method_key] = grouped ? "group_limited_greedy" : "greedy";
  }
  config["norm_topk_prob"] = row.experts.normalizes;
  if (row.experts.normalize_key && gguf.has(arch + kNormalize))
    config["norm_topk_prob"] = gguf.boolean(arch + kNormalize);
  if (mixture.score_key != nullptr && row.experts.score_key && gguf.has(arch + kScore))
    config[mixture.score_key] =
        gguf.integer(arch + kScore) == score_number(Experts::Score::sigmoid) ? "sigmoid" : "softmax";
  if (row.experts.scale_key && gguf.has(arch + kScale))
    config["routed_scaling_factor"] = as_float32(gguf.real(arch + kScale));
  if (!scores_alike(gguf, row, family))
    fail("{}: {}{} is {}, and {} models have {}", where, arch, kScore, gguf.integer(arch + kScore), family.model_type,
         score_number(mixture.experts.score));
}

}  // namespace strata::model
