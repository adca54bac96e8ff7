// The keys of the parts that an architecture's row tells: windows, caps, factors, what is fixed.
// Each is written and read side by side, so that a key has one spelling.
#include <algorithm>
#include <cmath>
#include <string>

#include "model/gguf/config.h"
#include "model/gguf/families.h"
#include "model/gguf/keys.h"

namespace strata::model {
namespace {

constexpr const char* kWindow = ".attention.sliding_window";
constexpr const char* kScoreCap = ".attn_logit_softcapping";
constexpr const char* kLogitCap = ".final_logit_softcapping";
constexpr const char* kClamp = ".attention.clamp_kqv";
constexpr const char* kLogitScale = ".logit_scale";
constexpr const char* kParallel = "use_parallel_residual";  // in config.json too

/// config.json's names of what stands between the matrices of a feed-forward part, where keys do not say it.
const char* activation_name(Activation activation) {
  if (activation == Activation::gelu_tanh) return "gelu_pytorch_tanh";
  return activation == Activation::relu_squared ? "relu2" : "silu";
}

/// The size of the heads that llama.cpp divides q by the square root of.
std::size_t query_size(const GgufFamily& row, std::size_t blocks, std::size_t hidden, std::size_t heads,
                       std::size_t head_dim) {
  return row.wide_query_blocks == blocks && heads != 0 ? hidden / heads : head_dim;
}

void add_windows(json& config, const format::GgufFile& gguf, const GgufFamily& row, std::size_t blocks,
                 const std::string& where) {
  if (row.window_pattern == 0) return;
  const std::string key = std::string(row.name) + kWindow;
  config["sliding_window"] = nullptr;
  if (row.window_blocks != 0 && row.window_blocks != blocks) return;
  if (!gguf.has(key) || gguf.integer(key) == 0) return;
  config["sliding_window"] = gguf.integer(key);
  if (row.by_kind) return;  // a key says which blocks they are on
  const std::string list = std::string(row.name) + gguf_key::kWindowPattern;
  std::vector<std::int64_t> windowed;
  if (row.window_list && gguf.has(list)) windowed = by_block(gguf, list, blocks, where);
  json types = json::array();
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::size_t place = b + (row.full_first ? 0 : 1);
    const bool has = windowed.empty() ? place % row.window_pattern != 0 : windowed[b] != 0;
    types.push_back(has ? "sliding_attention" : "full_attention");
  }
  config["layer_types"] = std::move(types);
}

}  // namespace

void add_part_keys(format::GgufKeys& keys, const GgufFamily& row, const Architecture& a) {
  const std::string arch(row.name);
  if (row.window_pattern != 0)
    for (const BlockAttention& block : a.attention)
      if (block.window != 0) {
        keys.add(arch + kWindow, static_cast<std::uint32_t>(block.window));
        break;
      }
  if (row.window_list) {
    std::vector<bool> windowed;
    for (const BlockAttention& block : a.attention) windowed.push_back(block.window != 0);
    keys.add(arch + gguf_key::kWindowPattern, windowed);
  }
  if (row.attention_softcap) keys.add(arch + kScoreCap, a.attention_softcap);
  if (row.logit_softcap) keys.add(arch + kLogitCap, a.logit_softcap);
  if (row.temperature) keys.add(arch + ".attention.temperature_scale", static_cast<float>(a.query_scale.beta));
  if (row.temperature_length)
    keys.add(arch + ".attention.temperature_length", static_cast<std::uint32_t>(a.query_scale.length));
  if (row.clamp_key && a.clip_qkv != 0.0f) keys.add(arch + kClamp, a.clip_qkv);
  if (row.multiplies_logits) keys.add(arch + kLogitScale, a.scales.logits);
  if (row.parallel_key) keys.add(fmt::format("{}.{}", arch, kParallel), a.parallel);
  if (!row.scales) return;
  keys.add(arch + ".embedding_scale", a.scales.embedding);
  keys.add(arch + ".attention.scale", a.scales.attention);
  keys.add(arch + ".residual_scale", a.scales.residual);
  keys.add(arch + kLogitScale, 1.0f / a.scales.logits);
}

void add_part_config(json& config, const format::GgufFile& gguf, const GgufFamily& row, const Family& family,
                     const std::string& where) {
  const std::string arch(row.name);
  const auto size = [&](const char* key) { return config[key].get<std::size_t>(); };
  const auto copy = [&](const char* to, const std::string& key) {
    if (to != nullptr && gguf.has(arch + key)) config[to] = as_float32(gguf.real(arch + key));
  };
  if (!family.clamped_swiglu) config[family.activation_key] = activation_name(row.activation);
  const std::size_t blocks = size("num_hidden_layers");
  add_windows(config, gguf, row, blocks, where);
  if (row.no_rope_step != 0) config["no_rope_layer_interval"] = row.no_rope_step;
  if (row.chunk != 0 && family.chunk_key != nullptr) config[family.chunk_key] = row.chunk;
  if (row.query_scale.beta != 0 && family.query_scale.on != nullptr) {
    config[family.query_scale.on] = true;
    config[family.query_scale.beta] = row.query_scale.beta;
    config[family.query_scale.length] = row.query_scale.length;
  }
  if (family.qk_l2_key != nullptr)
    config[family.qk_l2_key] =
        row.l2_unless_experts != 0 && gguf.integer(arch + ".expert_count") != row.l2_unless_experts;
  copy(family.attention_softcap_key, kScoreCap);
  copy(family.logit_softcap_key, kLogitCap);
  if (family.scales.query_size != nullptr)
    config[family.scales.query_size] =
        query_size(row, blocks, size("hidden_size"), size("num_attention_heads"), size("head_dim"));
  if (row.clamp_key) copy("clip_qkv", kClamp);
  if (family.scales.embedding_on != nullptr) config[family.scales.embedding_on] = row.embedding_by_hidden;
  if (row.multiplies_logits) copy(family.scales.logits, kLogitScale);
  if (const std::string key = fmt::format("{}.{}", arch, kParallel); row.parallel_key && gguf.has(key))
    config[kParallel] = gguf.boolean(key);
  if (!row.scales) return;
  copy(family.scales.embedding, ".embedding_scale");
  if (family.scales.attention != nullptr)
    config[family.scales.attention] = 1.0 / std::sqrt(static_cast<double>(size("head_dim")));
  copy(family.scales.attention, ".attention.scale");
  copy(family.scales.residual, ".residual_scale");
  copy(family.scales.logits_divisor, kLogitScale);
}

}  // namespace strata::model
