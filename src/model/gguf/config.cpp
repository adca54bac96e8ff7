// Builds config.json from GGUF metadata: the sizes and switches here, the other parts in files of their own.
// Every number goes through parse_architecture afterwards, which checks it.
#include "model/gguf/config.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <utility>
#include <variant>

#include "model/families.h"
#include "model/gguf/experts.h"
#include "model/gguf/families.h"
#include "model/gguf/keys.h"
#include "model/gguf/mamba.h"
#include "model/gguf/mixers.h"
#include "model/gguf/rope.h"
#include "model/gguf/tokenizer.h"
#include "model/mixture_keys.h"

namespace strata::model {
namespace {

using NamePair = std::pair<std::string_view, std::string_view>;

/// Whether a family may have experts where the file has some, and none where it has none.
bool counts_alike(const format::GgufFile& gguf, const Family& family) {
  if (has_experts(gguf)) return family.mixture != nullptr;
  return family.mixture == nullptr || family.mixture->may_be_none || has_blocks_of_one_part(family);
}

/// The family whose files these are: of several with one architecture, the one that has what the file has.
const Family* family_of(const format::GgufFile& gguf, const GgufFamily& row) {
  if (!row.read_as.empty()) return find_family(row.read_as);
  const std::string_view name = row.plain.empty() ? row.name : row.plain;
  const std::string key = std::string(row.name) + ".attention.sliding_window";
  const bool windows = gguf.has(key) && gguf.integer(key) != 0;
  const Family* found = nullptr;
  for (const Family& candidate : families()) {
    if ((candidate.gguf != name && candidate.gguf != row.dense && candidate.gguf != row.hybrid) ||
        candidate.gguf.empty() || !counts_alike(gguf, candidate))
      continue;
    if ((candidate.selective_norm_key != nullptr) != has_selective_norms(gguf, row)) continue;
    if ((candidate.window == WindowRule::pattern) == windows && scores_alike(gguf, row, candidate) &&
        shared_alike(gguf, row, candidate) && mamba_alike(gguf, row, candidate))
      return &candidate;
    if (found == nullptr) found = &candidate;
  }
  return found;
}

/// Sets the switches of biases and of norms of q and k, as far as the family has such.
void add_switches(json& config, const format::GgufFile& gguf, const Family& family) {
  const auto blocks = config["num_hidden_layers"].get<std::size_t>();
  const auto has_tensor = [&](const char* part) {
    for (std::size_t b = 0; b < blocks; ++b)
      if (gguf.find(fmt::format("blk.{}.{}", b, part)) != nullptr) return true;
    return false;
  };
  const auto has = [&](const char* part) { return has_tensor(fmt::format("{}.bias", part).c_str()); };
  if (family.qkv_bias == Bias::config) config[family.qkv_bias_key] = has("attn_q");
  if (family.qkv_bias == Bias::unless_off && !has("attn_q")) config["qkv_bias"] = false;
  if (family.o_bias == Bias::config && std::string_view(family.o_bias_key) != family.qkv_bias_key)
    config[family.o_bias_key] = has("attn_output");
  if (family.qk_norm_key) config["use_qk_norm"] = has_tensor("attn_q_norm.weight");
  if (family.mlp_bias_key != nullptr && has("ffn_down")) config[family.mlp_bias_key] = true;
}

void add_sizes(json& config, const format::GgufFile& gguf, const GgufFamily& row, const Family& family,
               const std::string& where) {
  const std::string arch(row.name);
  const auto integer = [&](const char* key) { return gguf.integer(arch + key); };
  config["hidden_size"] = integer(".embedding_length");
  const std::uint64_t blocks = block_count(gguf, where);
  config["num_hidden_layers"] = blocks;
  const char* length = gguf_key::kWidth;
  if (!gguf.has(arch + length) && has_experts(gguf)) length = ".expert_feed_forward_length";  // no block is dense
  if (row.attends && !row.by_kind)  // otherwise there is none, or kinds.h reads it
    config[family.intermediate_key] = std::ranges::max(by_block(gguf, arch + length, blocks, where));
  config["max_position_embeddings"] = integer(".context_length");
  const format::GgufTensor* embedding = gguf.find("token_embd.weight");
  if (embedding == nullptr || embedding->shape.size() != 2)
    fail("{}: token_embd.weight is missing or not a matrix", where);
  config["vocab_size"] = embedding->shape[0];
  const std::string rms = arch + norm_epsilon_key(NormKind::rms);
  if (family.rms_epsilon_key != nullptr && gguf.has(rms))
    config[family.rms_epsilon_key] = as_float32(gguf.real(rms));
  else
    config[family.norm_epsilon_key] = as_float32(gguf.real(arch + norm_epsilon_key(family.norm_kind)));
}

/// Gives keys the names that the family's own files have for them.
void spell(json& config, const Family& family) {
  const json spelled = parse_json(family.spelled, "spellings of a family");
  for (const auto& [key, own] : spelled.items())
    if (const auto it = config.find(key); it != config.end()) {
      config[own.get<std::string>()] = json(*it);
      config.erase(key);
    }
}

}  // namespace

std::string norm_epsilon_key(NormKind kind) {
  return kind == NormKind::layer ? ".attention.layer_norm_epsilon" : ".attention.layer_norm_rms_epsilon";
}

std::uint64_t block_count(const format::GgufFile& gguf, const std::string& where) {
  const std::string arch = gguf.text("general.architecture"), ahead = arch + ".nextn_predict_layers";
  const std::uint64_t all = gguf.integer(arch + ".block_count"), more = gguf.has(ahead) ? gguf.integer(ahead) : 0;
  constexpr std::uint64_t kMost = 10000;  // lists with a value for every block are made before config.json is checked
  if (all > kMost) fail("{}: {}.block_count is {}, expected at most {}", where, arch, all, kMost);
  if (more >= all) fail("{}: {} is {} of {} blocks", where, ahead, more, all);
  return all - more;
}

std::vector<std::int64_t> by_block(const format::GgufFile& gguf, const std::string& key, std::size_t blocks,
                                   const std::string& where) {
  const auto it = gguf.metadata().find(key);
  const format::GgufValue* const value = it == gguf.metadata().end() ? nullptr : &it->second;
  if (const bool* const one = std::get_if<bool>(value)) return std::vector<std::int64_t>(blocks, *one ? 1 : 0);
  const auto* const array = std::get_if<format::GgufArray>(value);
  if (array == nullptr) return std::vector<std::int64_t>(blocks, static_cast<std::int64_t>(gguf.integer(key)));
  const auto* const truths = std::get_if<std::vector<bool>>(array);
  std::vector<std::int64_t> values =
      truths != nullptr ? std::vector<std::int64_t>(truths->begin(), truths->end()) : gguf.integers(key);
  if (values.size() < blocks) fail("{}: {} has {} values for {} blocks", where, key, values.size(), blocks);
  values.resize(blocks);
  return values;
}

double as_float32(double value) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), static_cast<float>(value));
  *end.ptr = '\0';
  return std::strtod(text.data(), nullptr);
}

json config_from_gguf(const format::GgufFile& gguf, const std::string& where) {
  const std::string arch = gguf.text("general.architecture");
  const GgufFamily row = gguf_family(arch);
  const Family* const family = family_of(gguf, row);
  if (family == nullptr) fail("{}: architecture '{}' is not known; known are {}", where, arch, known_families());
  json config;
  config["architectures"] = json::array({family->class_name});
  config["model_type"] = family->model_type;
  config["torch_dtype"] = "bfloat16";
  add_sizes(config, gguf, row, *family, where);
  add_mixer_config(config, gguf, row, *family, where);
  add_switches(config, gguf, *family);
  config["tie_word_embeddings"] = gguf.find("output.weight") == nullptr;
  for (const auto& [key, name] :
       {NamePair{"bos_token_id", "bos"}, NamePair{"eos_token_id", "eos"}, NamePair{"pad_token_id", "padding"}})
    if (const auto id = gguf_special_token(gguf, name); id && *id < config["vocab_size"])
      config[std::string(key)] = *id;
  add_part_config(config, gguf, row, *family, where);
  add_rope_config(config, gguf, row, *family, where);
  add_expert_config(config, gguf, row, *family, where);
  spell(config, *family);
  return config;
}

}  // namespace strata::model
