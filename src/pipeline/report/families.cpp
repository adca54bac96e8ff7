// Each family is asked as a small model of its own defaults, since many of its parts depend on config.json.
// Sizes are such that nothing depends on them: as many key-value heads as heads, and heads that fill the hidden size.
#include "pipeline/report/families.h"

#include <algorithm>

#include "core/error.h"
#include "engine/gradient.h"
#include "model/architecture.h"
#include "model/families.h"
#include "model/gguf/check.h"
#include "model/mamba_keys.h"
#include "model/mixture_keys.h"
#include "model/mlx/families.h"

namespace strata::pipeline {
namespace {

/// normalizes: what config.json says of the weights of chosen experts, which has no default that published models
/// share. pattern: which parts the blocks are, where the family's are one part each; null: its usual ones.
model::Architecture sample(const model::Family& family, bool normalizes, const char* pattern = nullptr) {
  constexpr std::size_t heads = 8, usual_head_dim = 64, size = 256, blocks = 64, count = 64, used = 2;
  const std::size_t head_dim = family.default_head_dim == 0 ? usual_head_dim : family.default_head_dim;
  json config = {{"model_type", family.model_type}, {"hidden_size", heads * head_dim},   {"num_hidden_layers", blocks},
                 {"num_attention_heads", heads},    {"num_key_value_heads", heads},      {"vocab_size", size},
                 {family.intermediate_key, size},   {"vocab_size_per_layer_input", size}};
  if (family.mixer == model::Mixer::convolution) config["full_attn_idxs"] = {1};  // which blocks attend has no default
  if (const model::Mixture* mixture = family.mixture) {
    config["norm_topk_prob"] = normalizes;
    config[mixture->count_key] = count;
    config[mixture->used_key] = used;
    config[mixture->size_key] = size;
    if (mixture->enabled_key != nullptr) config[mixture->enabled_key] = true;
    if (mixture->shared_size_key != nullptr) config[mixture->shared_size_key] = size;
    if (mixture->shared_count_key != nullptr) config[mixture->shared_count_key] = 1;
  }
  if (family.mamba != nullptr && !family.mamba->one_part) {  // by their defaults such models attend nowhere
    config[family.mamba->parts] = std::vector<std::string>(blocks - 1, "mamba");
    config[family.mamba->parts].push_back("attention");
  }
  if (pattern != nullptr) config[family.mamba->pattern] = pattern;
  return model::parse_architecture(config, std::string(family.model_type));
}

/// Whether GGUF files of this model are read and written.
bool has_gguf(const model::Architecture& a) {
  try {
    model::check_gguf_parts(a, a.model_type);
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// Whether they are of any models of the family.
bool has_gguf(const model::Family& family) {
  if (has_gguf(sample(family, true)) || has_gguf(sample(family, false))) return true;
  return family.mamba != nullptr && family.mamba->pattern != nullptr && has_gguf(sample(family, true, "M*-"));
}

std::vector<std::string> fused_groups(const model::Architecture& a) {
  std::vector<std::string> names;
  for (const model::FusionGroup& group : a.groups) {
    const std::string name = group.name.substr(group.name.rfind('.') + 1);
    if (group.linears.size() > 1 && std::ranges::find(names, name) == names.end()) names.push_back(name);
  }
  return names;
}

FamilySupport support_of(const model::Family& family) {
  const model::Architecture a = sample(family, true);
  FamilySupport row{.model_type = family.model_type, .also = {}, .why_no_tune = {}, .gguf = {}};
  for (const std::string_view name : family.also)
    if (!name.empty()) row.also.push_back(name);
  for (std::size_t b = 0; b < a.blocks; ++b) {
    if (a.feeds(b)) (a.layout[b].mixture ? row.experts : row.dense) = true;
    const std::string_view mixer = model::mixer_name(a.attention[b].mixer);
    if (a.mixes(b) && std::ranges::find(row.mixers, mixer) == row.mixers.end()) row.mixers.push_back(mixer);
    const std::string why = engine::why_no_gradient(a, b);
    if (why.empty()) row.tunes_some = true;
    if (row.why_no_tune.empty()) row.why_no_tune = why;
  }
  if (family.mixture != nullptr && family.mixture->enabled_key != nullptr) row.dense = true;
  row.shared_expert = row.experts && a.experts.shared_intermediate != 0;
  if (has_gguf(family)) row.gguf = family.gguf;
  row.mlx = model::why_not_mlx(a).empty();
  row.coded_embedding = a.embedding_query != model::EmbeddingQuery::never;
  row.fused = fused_groups(a);
  return row;
}

std::string blocks_text(const FamilySupport& family) {
  std::string text = family.dense ? "dense" : "";
  if (family.experts) text += text.empty() ? "experts" : ", experts";
  return text + (family.shared_expert ? ", shared" : "");
}

std::string or_dash(const std::string& text) { return text.empty() ? "-" : text; }

}  // namespace

std::vector<FamilySupport> family_support() {
  std::vector<FamilySupport> rows;
  for (const model::Family& family : model::families()) rows.push_back(support_of(family));
  std::ranges::sort(rows, {}, &FamilySupport::model_type);
  return rows;
}

json to_json(const std::vector<FamilySupport>& families) {
  json list = json::array();
  for (const FamilySupport& family : families)
    list.push_back({{"model_type", family.model_type},
                    {"also", family.also},
                    {"mixers", family.mixers},
                    {"dense_blocks", family.dense},
                    {"expert_blocks", family.experts},
                    {"shared_expert", family.shared_expert},
                    {"forward", true},
                    {"gptq", true},
                    {"tune", family.why_no_tune.empty() ? json(true) : json(family.why_no_tune)},
                    {"tunes_some_blocks", family.tunes_some},
                    {"gguf", family.gguf.empty() ? json(false) : json(family.gguf)},
                    {"mlx", family.mlx},
                    {"vllm_embedding", family.coded_embedding},
                    {"vllm_fusion", family.fused}});
  return {{"families", std::move(list)}};
}

std::vector<std::vector<std::string>> to_rows(const std::vector<FamilySupport>& families) {
  std::vector<std::vector<std::string>> rows = {{"model_type", "mixer", "feed-forward", "forward", "gptq", "tune",
                                                 "gguf", "mlx", "vllm embedding", "vllm fusion", "also read as it"}};
  for (const FamilySupport& family : families)
    rows.push_back({std::string(family.model_type), fmt::format("{}", fmt::join(family.mixers, ", ")),
                    or_dash(blocks_text(family)), "yes", "yes",
                    family.why_no_tune.empty() ? "yes"
                    : family.tunes_some        ? "some blocks"
                                               : "-",
                    or_dash(std::string(family.gguf)), family.mlx ? "yes" : "-", family.coded_embedding ? "yes" : "-",
                    or_dash(fmt::format("{}", fmt::join(family.fused, ", "))),
                    or_dash(fmt::format("{}", fmt::join(family.also, ", ")))});
  return rows;
}

}  // namespace strata::pipeline
