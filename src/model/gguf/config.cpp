// Builds config.json from GGUF metadata and maps tensor names.
// Every number goes through parse_architecture afterwards, which checks it.
#include "model/gguf/config.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "model/architecture.h"
#include "model/families.h"
#include "model/gguf/experts.h"
#include "model/gguf/families.h"
#include "model/gguf/tokenizer.h"

namespace strata::model {
namespace {

using NamePair = std::pair<std::string_view, std::string_view>;

constexpr std::array<std::pair<Role, std::string_view>, 7> kLinearNames{{{Role::q, "attn_q"},
                                                                         {Role::k, "attn_k"},
                                                                         {Role::v, "attn_v"},
                                                                         {Role::o, "attn_output"},
                                                                         {Role::gate, "ffn_gate"},
                                                                         {Role::up, "ffn_up"},
                                                                         {Role::down, "ffn_down"}}};
constexpr std::array<std::pair<Norm, std::string_view>, 6> kNormNames{{{Norm::before_attention, "attn_norm"},
                                                                       {Norm::q, "attn_q_norm"},
                                                                       {Norm::k, "attn_k_norm"},
                                                                       {Norm::after_attention, "post_attention_norm"},
                                                                       {Norm::before_feed_forward, "ffn_norm"},
                                                                       {Norm::after_feed_forward, "post_ffw_norm"}}};
constexpr std::string_view kBlocks = "blk.";

/// A tensor's name in both kinds of file, without ".weight".
struct BothNames {
  std::string gguf, hf;
};

/// The tensors that belong to no block.
std::array<BothNames, 3> whole_names(const Names& names) {
  return {{{"token_embd", names.linear(Role::embed)},
           {"output_norm", names.root + std::string(names.last_norm)},
           {"output", names.linear(Role::lm_head)}}};
}

/// The tensors of a block, named within it.
std::vector<BothNames> block_names(const Names& names) {
  std::vector<BothNames> result;
  for (const auto& [role, gguf] : kLinearNames) result.push_back({std::string(gguf), names.linear(role)});
  for (const auto& [norm, gguf] : kNormNames)
    if (!names.norm(norm).empty()) result.push_back({std::string(gguf), std::string(names.norm(norm))});
  return result;
}

/// "model.layers."
std::string blocks_of(const Names& names) { return names.root + std::string(names.blocks); }

/// A block's tensor name in three parts: "3", "attn_q", ".weight" of "blk.3.attn_q.weight" after the prefix "blk.".
struct BlockTensor {
  std::string_view block, part, suffix;
};
std::optional<BlockTensor> split(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  const std::string_view rest = name.substr(prefix.size());
  const auto first = rest.find('.'), last = rest.rfind('.');
  if (first == std::string_view::npos || first == last) return std::nullopt;
  return BlockTensor{rest.substr(0, first), rest.substr(first + 1, last - first - 1), rest.substr(last)};
}

/// The name that `from` of a pair has in the other kind of file, `to`.
std::optional<std::string> translate(const Names& names, std::string_view name, std::string BothNames::*from,
                                     std::string BothNames::*to, std::string_view from_blocks,
                                     std::string_view to_blocks) {
  for (const BothNames& both : whole_names(names))
    if (both.*from + ".weight" == name) return both.*to + ".weight";
  const std::optional<BlockTensor> tensor = split(name, from_blocks);
  if (!tensor) return std::nullopt;
  for (const BothNames& both : block_names(names))
    if (both.*from == tensor->part) return fmt::format("{}{}.{}{}", to_blocks, tensor->block, both.*to, tensor->suffix);
  return std::nullopt;
}

/// The rotary scaling of Llama 3.1 and later, which GGUF keeps as a divisor per frequency. Only the published
/// parameters are known.
json llama3_scaling(const format::GgufTensor& factors, const json& config, const std::string& where) {
  Rope rope;
  rope.theta = config["rope_theta"];
  rope.dims = config["head_dim"];
  if (factors.shape.size() != 1 || factors.shape[0] != rope.dims / 2 || factors.type != 0)
    fail("{}: rope_freqs.weight is not F32 [{}]", where, rope.dims / 2);
  std::vector<float> given(rope.dims / 2);
  format::ggml_dequantize_row(factors.type, factors.data.data(), given.size(), given.data());
  const std::vector<double> plain = inverse_frequencies(rope, 0);
  rope.scaling = Rope::Scaling::llama3;
  rope.original_max_position = 8192;
  rope.factor = given.back();
  const std::vector<double> scaled = inverse_frequencies(rope, 0);
  for (std::size_t i = 0; i < given.size(); ++i)
    if (!(std::fabs(plain[i] / scaled[i] - given[i]) < 1e-3 * given[i]))
      fail(
          "{}: rope_freqs.weight does not follow Llama 3's rule; convert the model from its Hugging Face folder "
          "instead",
          where);
  return {{"rope_type", "llama3"},
          {"factor", rope.factor},
          {"low_freq_factor", 1.0},
          {"high_freq_factor", 4.0},
          {"original_max_position_embeddings", 8192}};
}

/// llama.cpp multiplies the cosine and sine of yarn by attn_factor and by 1 + 0.1 ln(factor).
json yarn_scaling(const format::GgufFile& gguf, const std::string& arch, const std::string& where) {
  const std::string key = arch + ".rope.scaling.";
  const auto real_or = [&](const char* name, double fallback) {
    return gguf.has(key + name) ? as_float32(gguf.real(key + name)) : fallback;
  };
  const double factor = as_float32(gguf.real(key + "factor"));
  if (!(factor > 0)) fail("{}: {}factor is {}, expected a positive number", where, key, factor);
  const auto magnitude = [&](double multiple) { return factor <= 1 ? 1.0 : 0.1 * multiple * std::log(factor) + 1.0; };
  const double attention =
      real_or("attn_factor", 1.0) * magnitude(1.0) / magnitude(real_or("yarn_log_multiplier", 0.0));
  return {{"rope_type", "yarn"},
          {"factor", factor},
          {"original_max_position_embeddings", gguf.integer(key + "original_context_length")},
          {"attention_factor", as_float32(attention)},
          {"beta_fast", real_or("yarn_beta_fast", 32.0)},
          {"beta_slow", real_or("yarn_beta_slow", 1.0)}};
}

void add_rope_scaling(json& config, const format::GgufFile& gguf, const std::string& arch, const std::string& where) {
  if (const format::GgufTensor* factors = gguf.find("rope_freqs.weight")) {
    config["rope_scaling"] = llama3_scaling(*factors, config, where);
    return;
  }
  const std::string key = arch + ".rope.scaling.type";
  if (!gguf.has(key) || gguf.text(key) == "none") return;
  if (gguf.text(key) == "yarn") {
    config["rope_scaling"] = yarn_scaling(gguf, arch, where);
    return;
  }
  if (gguf.text(key) != "linear") fail("{}: rope scaling '{}' is not supported for GGUF files", where, gguf.text(key));
  config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", gguf.real(arch + ".rope.scaling.factor")}};
}

}  // namespace

double as_float32(double value) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), static_cast<float>(value));
  *end.ptr = '\0';
  return std::strtod(text.data(), nullptr);
}

std::optional<std::string> hf_tensor_name(const Names& names, std::string_view gguf_name) {
  return translate(names, gguf_name, &BothNames::gguf, &BothNames::hf, kBlocks, blocks_of(names));
}

std::optional<std::string> gguf_tensor_name(const Names& names, std::string_view hf_name) {
  return translate(names, hf_name, &BothNames::hf, &BothNames::gguf, blocks_of(names), kBlocks);
}

namespace {

/// Refuses windows and rotary embeddings in other blocks than llama.cpp has them in.
template <class Refuse>
void check_blocks(const GgufFamily& row, const Architecture& a, const Refuse& refuse) {
  const bool windows = std::ranges::any_of(a.attention, [](const auto& block) { return block.window != 0; });
  if (row.needs_window && !windows) refuse("no sliding window");
  const std::size_t window = windows && row.window_pattern != 0 ? a.attention.front().window : 0;
  for (std::size_t b = 0; b < a.blocks; ++b) {
    const BlockAttention& block = a.attention[b];
    const bool full = row.window_pattern != 0 && (b + 1) % row.window_pattern == 0;
    if (block.chunk != 0) refuse("attention in chunks");
    if (row.window_pattern != 0 && block.window != (full ? 0 : window))
      refuse("sliding windows in other blocks than llama.cpp has them in");
    const bool plain = row.no_rope_step != 0 && (b + 1) % row.no_rope_step == 0;
    if ((block.rope == kNoRope) != plain) refuse("rotary embeddings in other blocks than llama.cpp has them in");
  }
}

}  // namespace

void check_gguf_parts(const Architecture& a, const std::string& where) {
  const auto refuse = [&](std::string_view what) {
    fail("{}: {} models have {}, which GGUF files are neither read nor written with here; use the Hugging Face folder",
         where, a.model_type, what);
  };
  if (const Family* family = find_family(a.model_type); family == nullptr || family->gguf.empty())
    fail("{}: GGUF files of {} models are neither read nor written here; use the Hugging Face folder", where,
         a.model_type);
  const Family& family = *find_family(a.model_type);
  const GgufFamily row = gguf_family(family.gguf);
  if (a.norm_offset != family.norm_offset) refuse("norms that multiply by 1 + w");
  if (a.activation != row.activation) refuse("another activation than llama.cpp computes");
  if (!row.scales && a.scales != fixed_scales(row, a))
    refuse("factors of embedding, attention, residual sums or logits");
  if (a.clip_qkv != 0.0f) refuse("limits of q, k and v ('clip_qkv')");
  if ((a.attention_softcap != 0.0f) != row.attention_softcap)
    refuse(row.attention_softcap ? "no cap on scores" : "caps on scores");
  if ((a.logit_softcap != 0.0f) != row.logit_softcap) refuse(row.logit_softcap ? "no cap on logits" : "caps on logits");
  if (a.qk_l2 || a.sinks || a.query_scale.beta != 0) refuse("attention with sinks or factors of q");
  if (a.ropes.size() > (row.window_rope ? 2u : 1u)) refuse("several rotary embeddings");
  for (const Rope& rope : a.ropes)
    if (!rope.truncate || rope.scaling == Rope::Scaling::longrope) refuse("a kind of rotary scaling");
  // llama.cpp was seen to compute other logits than transformers where these differ.
  for (const Rope& rope : a.ropes)
    if (const double usual = rope.factor <= 1 ? 1.0 : 1.0 + 0.1 * std::log(rope.factor);
        rope.scaling == Rope::Scaling::yarn &&
        (rope.beta_fast != 32.0 || rope.beta_slow != 1.0 || std::fabs(rope.attention_factor - usual) > 1e-5))
      refuse("yarn scaling with betas or an attention factor of its own");
  check_blocks(row, a, refuse);
}

json config_from_gguf(const format::GgufFile& gguf, const std::string& where) {
  const std::string arch = gguf.text("general.architecture");
  for (const char* other : {"qwen2moe", "glm4moe"})
    if (arch == other) fail("{}: {} GGUF files cannot be read here; use the Hugging Face folder", where, arch);
  const Family* family = nullptr;
  for (const Family& candidate : families())
    if (family == nullptr && candidate.gguf == arch && (candidate.mixture != nullptr) == has_experts(gguf))
      family = &candidate;
  if (family == nullptr) fail("{}: architecture '{}' is not known; known are {}", where, arch, known_families());
  const auto integer = [&](const char* key) { return gguf.integer(arch + key); };
  const auto integer_or = [&](const char* key, std::uint64_t fallback) {
    return gguf.has(arch + key) ? gguf.integer(arch + key) : fallback;
  };
  json config;
  config["architectures"] = json::array({family->class_name});
  config["model_type"] = family->model_type;
  config["torch_dtype"] = "bfloat16";
  config["hidden_size"] = integer(".embedding_length");
  config["intermediate_size"] = integer(".feed_forward_length");
  config["num_hidden_layers"] = integer(".block_count");
  config["num_attention_heads"] = integer(".attention.head_count");
  config["num_key_value_heads"] = integer_or(".attention.head_count_kv", integer(".attention.head_count"));
  const std::uint64_t heads = config["num_attention_heads"];
  if (heads == 0) fail("{}: {}.attention.head_count is 0", where, arch);
  config["head_dim"] = integer_or(".attention.key_length", config["hidden_size"].get<std::uint64_t>() / heads);
  if (integer_or(".rope.dimension_count", config["head_dim"]) != config["head_dim"])
    fail("{}: rotates {} of {} dimensions of a head, which is not supported", where, integer(".rope.dimension_count"),
         config["head_dim"].get<std::uint64_t>());
  config["max_position_embeddings"] = integer(".context_length");
  const format::GgufTensor* embedding = gguf.find("token_embd.weight");
  if (embedding == nullptr || embedding->shape.size() != 2)
    fail("{}: token_embd.weight is missing or not a matrix", where);
  config["vocab_size"] = embedding->shape[0];
  config["rms_norm_eps"] = as_float32(gguf.real(arch + ".attention.layer_norm_rms_epsilon"));
  config["rope_theta"] = gguf.has(arch + ".rope.freq_base") ? as_float32(gguf.real(arch + ".rope.freq_base")) : 10000.0;
  if (family->qkv_bias == Bias::config) config["attention_bias"] = gguf.find("blk.0.attn_q.bias") != nullptr;
  config["tie_word_embeddings"] = gguf.find("output.weight") == nullptr;
  for (const auto& [key, name] :
       {NamePair{"bos_token_id", "bos"}, NamePair{"eos_token_id", "eos"}, NamePair{"pad_token_id", "padding"}})
    if (const auto id = gguf_special_token(gguf, name); id && *id < config["vocab_size"])
      config[std::string(key)] = *id;
  add_part_config(config, gguf, *family);
  add_rope_scaling(config, gguf, arch, where);
  add_expert_config(config, gguf, *family);
  return config;
}

}  // namespace strata::model
