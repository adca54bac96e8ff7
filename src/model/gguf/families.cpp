// The rows of architectures of GGUF files, and the keys of the parts that they tell.
// A part that neither a row nor a key holds is refused by check_gguf_parts.
#include "model/gguf/families.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "model/gguf/config.h"

namespace strata::model {
namespace {

constexpr std::array kRows{
    GgufFamily{.name = "llama", .interleaved = true},
    GgufFamily{.name = "gemma2",
               .activation = Activation::gelu_tanh,
               .window_pattern = 2,
               .needs_window = true,
               .attention_softcap = true,
               .logit_softcap = true,
               .embedding_by_hidden = true,
               .wide_query_blocks = 46},
    GgufFamily{.name = "gemma3",
               .activation = Activation::gelu_tanh,
               .window_pattern = 6,
               .needs_window = true,
               .window_rope = true,
               .embedding_by_hidden = true,
               .wide_query_blocks = 62},
    GgufFamily{.name = "olmo2", .window_pattern = 4},
    GgufFamily{.name = "smollm3", .interleaved = true, .no_rope_step = 4},
    GgufFamily{.name = "granite", .interleaved = true, .scales = true},
};

constexpr const char* kWindow = ".attention.sliding_window";
constexpr const char* kWindowTheta = ".rope.freq_base_swa";
constexpr const char* kScoreCap = ".attn_logit_softcapping";
constexpr const char* kLogitCap = ".final_logit_softcapping";

/// The size of the heads that llama.cpp divides q by the square root of.
std::size_t query_size(const GgufFamily& row, std::size_t blocks, std::size_t hidden, std::size_t heads,
                       std::size_t head_dim) {
  return row.wide_query_blocks == blocks && heads != 0 ? hidden / heads : head_dim;
}

}  // namespace

GgufFamily gguf_family(std::string_view name) {
  const auto* row = std::ranges::find(kRows, name, &GgufFamily::name);
  return row != kRows.end() ? *row : GgufFamily{.name = name};
}

Scales fixed_scales(const GgufFamily& row, const Architecture& a) {
  const auto size = static_cast<double>(query_size(row, a.blocks, a.hidden, a.heads, a.head_dim));
  return {.embedding = row.embedding_by_hidden ? static_cast<float>(std::sqrt(static_cast<double>(a.hidden))) : 1.0f,
          .attention = static_cast<float>(1.0 / std::sqrt(size))};
}

void add_part_keys(format::GgufKeys& keys, const GgufFamily& row, const Architecture& a) {
  const std::string arch(row.name);
  if (row.window_pattern != 0)
    for (const BlockAttention& block : a.attention)
      if (block.window != 0) {
        keys.add(arch + kWindow, static_cast<std::uint32_t>(block.window));
        break;
      }
  if (row.window_rope) keys.add(arch + kWindowTheta, static_cast<float>(a.ropes.back().theta));
  if (row.attention_softcap) keys.add(arch + kScoreCap, a.attention_softcap);
  if (row.logit_softcap) keys.add(arch + kLogitCap, a.logit_softcap);
  if (!row.scales) return;
  keys.add(arch + ".embedding_scale", a.scales.embedding);
  keys.add(arch + ".attention.scale", a.scales.attention);
  keys.add(arch + ".residual_scale", a.scales.residual);
  keys.add(arch + ".logit_scale", 1.0f / a.scales.logits);
}

void add_part_config(json& config, const format::GgufFile& gguf, const Family& family) {
  const GgufFamily row = gguf_family(family.gguf);
  const std::string arch(row.name);
  const auto size = [&](const char* key) { return config[key].get<std::size_t>(); };
  const auto copy = [&](const char* to, const std::string& key) {
    if (to != nullptr && gguf.has(arch + key)) config[to] = as_float32(gguf.real(arch + key));
  };
  config[family.activation_key] = row.activation == Activation::gelu_tanh ? "gelu_pytorch_tanh" : "silu";
  const std::size_t blocks = size("num_hidden_layers");
  if (row.window_pattern != 0) {
    config["sliding_window"] = nullptr;
    if (gguf.has(arch + kWindow) && gguf.integer(arch + kWindow) != 0) {
      config["sliding_window"] = gguf.integer(arch + kWindow);
      config["sliding_window_pattern"] = row.window_pattern;
    }
  }
  if (row.no_rope_step != 0) config["no_rope_layer_interval"] = row.no_rope_step;
  if (row.window_rope) copy(family.window_rope_key, kWindowTheta);
  copy(family.attention_softcap_key, kScoreCap);
  copy(family.logit_softcap_key, kLogitCap);
  if (family.scales.query_size != nullptr)
    config[family.scales.query_size] =
        query_size(row, blocks, size("hidden_size"), size("num_attention_heads"), size("head_dim"));
  if (!row.scales) return;
  copy(family.scales.embedding, ".embedding_scale");
  if (family.scales.attention != nullptr)
    config[family.scales.attention] = 1.0 / std::sqrt(static_cast<double>(size("head_dim")));
  copy(family.scales.attention, ".attention.scale");
  copy(family.scales.residual, ".residual_scale");
  copy(family.scales.logits_divisor, ".logit_scale");
}

}  // namespace strata::model
