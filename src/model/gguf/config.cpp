// Builds config.json from GGUF metadata and maps tensor names.
// Every number goes through parse_architecture afterwards, which checks it.
#include "model/gguf/config.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "model/architecture.h"
#include "model/families.h"
#include "model/gguf/experts.h"

namespace strata::model {
namespace {

using NamePair = std::pair<std::string_view, std::string_view>;

constexpr std::array<NamePair, 3> kWholeNames{{{"token_embd.weight", "model.embed_tokens.weight"},
                                               {"output_norm.weight", "model.norm.weight"},
                                               {"output.weight", "lm_head.weight"}}};
constexpr std::array<NamePair, 11> kBlockNames{{{"attn_norm", "input_layernorm"},
                                                {"ffn_norm", "post_attention_layernorm"},
                                                {"attn_q", "self_attn.q_proj"},
                                                {"attn_k", "self_attn.k_proj"},
                                                {"attn_v", "self_attn.v_proj"},
                                                {"attn_output", "self_attn.o_proj"},
                                                {"attn_q_norm", "self_attn.q_norm"},
                                                {"attn_k_norm", "self_attn.k_norm"},
                                                {"ffn_gate", "mlp.gate_proj"},
                                                {"ffn_up", "mlp.up_proj"},
                                                {"ffn_down", "mlp.down_proj"}}};

/// Shortest decimal of a float32, so that 1e-5 stays 1e-05 and not 9.99999974e-06.
double as_float32(double value) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), static_cast<float>(value));
  *end.ptr = '\0';
  return std::strtod(text.data(), nullptr);
}

/// Llama 3.1 and later keep their rotary scaling as a divisor per frequency; only the published parameters are known.
json llama3_scaling(const format::GgufTensor& factors, const json& config, const std::string& where) {
  Architecture a;
  a.head_dim = config["head_dim"];
  a.rope.theta = config["rope_theta"];
  a.rope.dims = a.head_dim;
  if (factors.shape.size() != 1 || factors.shape[0] != a.head_dim / 2 || factors.type != 0)
    fail("{}: rope_freqs.weight is not F32 [{}]", where, a.head_dim / 2);
  std::vector<float> given(a.head_dim / 2);
  format::ggml_dequantize_row(factors.type, factors.data.data(), given.size(), given.data());
  const std::vector<double> plain = inverse_frequencies(a, 0);
  a.rope.scaling = Rope::Scaling::llama3;
  a.rope.original_max_position = 8192;
  a.rope.factor = given.back();
  const std::vector<double> scaled = inverse_frequencies(a, 0);
  for (std::size_t i = 0; i < given.size(); ++i)
    if (!(std::fabs(plain[i] / scaled[i] - given[i]) < 1e-3 * given[i]))
      fail(
          "{}: rope_freqs.weight does not follow Llama 3's rule; convert the model from its Hugging Face folder "
          "instead",
          where);
  return {{"rope_type", "llama3"},
          {"factor", a.rope.factor},
          {"low_freq_factor", 1.0},
          {"high_freq_factor", 4.0},
          {"original_max_position_embeddings", 8192}};
}

void add_rope_scaling(json& config, const format::GgufFile& gguf, const std::string& arch, const std::string& where) {
  if (const format::GgufTensor* factors = gguf.find("rope_freqs.weight")) {
    config["rope_scaling"] = llama3_scaling(*factors, config, where);
    return;
  }
  const std::string key = arch + ".rope.scaling.type";
  if (!gguf.has(key) || gguf.text(key) == "none") return;
  if (gguf.text(key) != "linear") fail("{}: rope scaling '{}' is not supported for GGUF files", where, gguf.text(key));
  config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", gguf.real(arch + ".rope.scaling.factor")}};
}

}  // namespace

std::optional<std::string> hf_tensor_name(std::string_view gguf_name) {
  for (const auto& [gguf, hf] : kWholeNames)
    if (gguf == gguf_name) return std::string(hf);
  if (!gguf_name.starts_with("blk.")) return std::nullopt;
  const std::string_view rest = gguf_name.substr(4);
  const auto first = rest.find('.'), last = rest.rfind('.');
  if (first == std::string_view::npos || first == last) return std::nullopt;
  const std::string_view part = rest.substr(first + 1, last - first - 1);
  for (const auto& [gguf, hf] : kBlockNames)
    if (gguf == part) return fmt::format("model.layers.{}.{}{}", rest.substr(0, first), hf, rest.substr(last));
  return std::nullopt;
}

std::optional<std::string> gguf_tensor_name(std::string_view hf_name) {
  for (const auto& [gguf, hf] : kWholeNames)
    if (hf == hf_name) return std::string(gguf);
  constexpr std::string_view prefix = "model.layers.";
  if (!hf_name.starts_with(prefix)) return std::nullopt;
  const std::string_view rest = hf_name.substr(prefix.size());
  const auto first = rest.find('.'), last = rest.rfind('.');
  if (first == std::string_view::npos || first == last) return std::nullopt;
  const std::string_view part = rest.substr(first + 1, last - first - 1);
  for (const auto& [gguf, hf] : kBlockNames)
    if (hf == part) return fmt::format("blk.{}.{}{}", rest.substr(0, first), gguf, rest.substr(last));
  return std::nullopt;
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
  config["hidden_act"] = "silu";
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
    if (const std::string id = fmt::format("tokenizer.ggml.{}_token_id", name); gguf.has(id))
      config[std::string(key)] = gguf.integer(id);
  add_rope_scaling(config, gguf, arch, where);
  add_expert_config(config, gguf, *family);
  return config;
}

}  // namespace strata::model
