// Latent attention (Latent), whose q and k have more dimensions than its v.
// Keys and defaults are those of transformers' configuration_deepseek_v3.py.
#include "model/config_values.h"
#include "model/mixers/mixer.h"

namespace strata::model {
namespace {

/// Also sizes q and k: every head has its own keys.
void parse(const json& config, const Family&, Architecture& a, const std::string& where) {
  Latent& l = a.latent;
  l.q_rank = size_or(config, "q_lora_rank", 0, where);
  l.kv_rank = size_of(config, "kv_lora_rank", where);
  l.plain = size_of(config, "qk_nope_head_dim", where);
  l.turned = size_of(config, "qk_rope_head_dim", where);
  l.value = size_of(config, "v_head_dim", where);
  a.head_dim = l.plain + l.turned;
  a.kv_heads = a.heads;
  if (l.turned % 2 != 0) fail("{}: 'qk_rope_head_dim' {} must be even", where, l.turned);
  if (a.heads > kLargestSize / (a.head_dim + l.value))
    fail("{}: {} heads of {} and {} are too large", where, a.heads, a.head_dim, l.value);
  for (BlockAttention& block : a.attention) block.mixer = Mixer::latent;
}

/// vLLM holds q_a and kv_a in one matrix (fused_qkv_a_proj of deepseek_v2.py).
std::vector<MixerLinear> linears(const Architecture& a, std::size_t block) {
  const Latent& l = a.latent;
  const std::size_t q_size = a.q_size(), narrow = l.kv_rank + l.turned, both = a.heads * (l.plain + l.value);
  std::vector<MixerLinear> list;
  if (l.q_rank != 0) {
    const std::string group = fmt::format("{}.fused_qkv_a_proj", a.names.attention);
    list = {{.role = Role::q_a, .rows = l.q_rank, .cols = a.hidden, .bias = a.qkv_bias, .group = group},
            {.role = Role::kv_a, .rows = narrow, .cols = a.hidden, .bias = a.qkv_bias, .group = group},
            {.role = Role::q_b, .rows = q_size, .cols = l.q_rank}};
  } else {
    list = {{.role = Role::q, .rows = q_size, .cols = a.hidden},
            {.role = Role::kv_a, .rows = narrow, .cols = a.hidden, .bias = a.qkv_bias}};
  }
  list.push_back({.role = Role::kv_b, .rows = both, .cols = l.kv_rank});
  list.push_back({.role = Role::o, .rows = a.hidden, .cols = a.mixed_size(block), .bias = a.o_bias});
  return list;
}

MixerSizes sizes(const Architecture& a, std::size_t) {
  return {.mixed = a.heads * a.latent.value, .cache = a.latent.kv_rank + a.latent.turned};
}

std::size_t norm_size(const Architecture& a, Norm norm, std::size_t) {
  return norm == Norm::q_a ? a.latent.q_rank : norm == Norm::kv_a ? a.latent.kv_rank : 0;
}

/// Beside q, k and v of all heads, which attention counts.
std::size_t floats(const Architecture& a) {
  const Latent& l = a.latent;
  return l.q_rank + 2 * l.kv_rank + a.heads * l.value;
}

}  // namespace

constinit const MixerKind kLatentMixer{.mixer = Mixer::latent,
                                       .name = "latent attention",
                                       .module = &TensorNames::attention,
                                       .parse = parse,
                                       .linears = linears,
                                       .sizes = sizes,
                                       .norm_size = norm_size,
                                       .floats = floats};

}  // namespace strata::model
