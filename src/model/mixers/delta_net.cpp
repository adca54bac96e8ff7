// Gated delta nets (DeltaNet): their sizes, which blocks have one, and what these hold.
// Keys and defaults are those of transformers' configuration_qwen3_next.py, configuration_qwen3_5.py and
// configuration_olmo_hybrid.py.
#include "model/mixers/delta_net.h"

#include <algorithm>

#include "model/config_values.h"
#include "model/families.h"
#include "model/mixers/mixer.h"

namespace strata::model {
namespace {

/// Whether each block is a delta net: layer_types, or all but every n-th.
std::vector<bool> delta_blocks(const json& config, const DeltaKeys& keys, std::size_t blocks,
                               const std::string& where) {
  std::vector<bool> result(blocks);
  const std::vector<std::string> types = names_by_block(config, "layer_types", blocks, where);
  const std::size_t every = size_or(config, "full_attention_interval", 4, where);
  for (std::size_t b = 0; b < blocks; ++b) {
    result[b] = types.empty() ? (b + 1) % every != 0 : types[b] == "linear_attention";
    if (!types.empty() && !result[b] && types[b] != "full_attention")
      fail("{}: 'layer_types' names '{}', expected linear_attention or full_attention", where, types[b]);
  }
  if (types.empty() && keys.sized_by_attention && blocks < every) result.back() = false;
  return result;
}

void parse_sizes(const json& config, const DeltaKeys& keys, Architecture& a, const std::string& where) {
  DeltaNet& d = a.delta;
  const bool by_attention = keys.sized_by_attention;
  d.key_heads = size_or(config, "linear_num_key_heads", by_attention ? a.heads : 16, where);
  d.value_heads = size_or(config, "linear_num_value_heads", by_attention ? a.heads : 32, where);
  const std::size_t three_quarters = std::max<std::size_t>(3 * a.hidden / (4 * d.key_heads), 1);
  d.key_size = size_or(config, "linear_key_head_dim", by_attention ? three_quarters : 128, where);
  d.value_size = size_or(config, "linear_value_head_dim", by_attention ? 2 * d.key_size : 128, where);
  d.kernel = size_or(config, "linear_conv_kernel_dim", 4, where);
  if (d.value_heads % d.key_heads != 0)
    fail("{}: {} heads of keys cannot be shared by {} heads of values", where, d.key_heads, d.value_heads);
  if (d.kernel > kLongestKernel || std::max(d.key_heads, d.value_heads) > kLargestSize / (d.key_size + d.value_size))
    fail("{}: {} and {} heads of {} and {} with a convolution over {} tokens are too large", where, d.key_heads,
         d.value_heads, d.key_size, d.value_size, d.kernel);
}

void parse(const json& config, const Family& family, Architecture& a, const std::string& where) {
  const DeltaKeys& keys = family.delta;
  parse_sizes(config, keys, a, where);
  DeltaNet& d = a.delta;
  d.by_key_heads = keys.by_key_heads;
  d.apart = keys.apart;
  d.norm = keys.norm;
  d.norm_epsilon = keys.norm_epsilon != 0.0 ? static_cast<float>(keys.norm_epsilon) : a.norm_epsilon;
  if (keys.doubled_key != nullptr && get_or<bool>(config, keys.doubled_key, true, where)) d.beta_scale = 2.0f;
  if (a.activation != Activation::silu)
    fail("{}: '{}' is not silu, and the convolutions of gated delta nets are not computed with another", where,
         family.activation_key);
  if (keys.gates_attention) a.output_gate = OutputGate::in_q;
  const std::vector<bool> delta = delta_blocks(config, keys, a.blocks, where);
  for (std::size_t b = 0; b < a.blocks; ++b)
    if (delta[b]) a.attention[b].mixer = Mixer::delta;
}

/// vLLM holds what reads the block's input in two matrices (qwen3_5.py), as Qwen3-Next's files do, or in one beside
/// b and a (olmo_gdn_linear_attn.py).
std::vector<MixerLinear> linears(const Architecture& a, std::size_t) {
  const DeltaNet& d = a.delta;
  const std::string wide = a.names.linear(Role::in_qkvz), narrow = a.names.linear(Role::in_ba);
  const auto named = [&](std::string_view name) { return fmt::format("{}.{}", a.names.delta, name); };
  std::vector<MixerLinear> list;
  const auto add = [&](Role role, std::size_t rows, const std::string& group, std::string name = {}) {
    list.push_back({.role = role, .rows = rows, .cols = a.hidden, .name = std::move(name), .group = group});
  };
  if (d.by_key_heads) {
    add(Role::in_qkvz, d.channels() + d.values(), wide);
    add(Role::in_ba, 2 * d.value_heads, narrow);
  } else if (d.apart) {
    add(Role::q, d.keys(), wide, named(a.names.q));
    add(Role::k, d.keys(), wide, named(a.names.k));
    add(Role::v, d.values(), wide, named(a.names.v));
    add(Role::in_z, d.values(), wide);
    add(Role::in_b, d.value_heads, {});
    add(Role::in_a, d.value_heads, {});
  } else {
    add(Role::in_qkv, d.channels(), wide);
    add(Role::in_z, d.values(), wide);
    add(Role::in_b, d.value_heads, narrow);
    add(Role::in_a, d.value_heads, narrow);
  }
  list.push_back({.role = Role::o, .rows = a.hidden, .cols = d.values(), .name = named(a.names.delta_out)});
  return list;
}

std::vector<ExpectedTensor> kept(const Architecture& a, std::size_t block) {
  const DeltaNet& d = a.delta;
  std::vector<ExpectedTensor> list;
  for (const DeltaStretch& part : delta_stretches(d))
    list.push_back(kept_tensor(a, block, part.convolution, {part.size, 1, d.kernel}));
  list.push_back(kept_tensor(a, block, "A_log", {d.value_heads}));
  list.push_back(kept_tensor(a, block, "dt_bias", {d.value_heads}));
  list.push_back(kept_tensor(a, block, d.norm, {d.value_size}));
  return list;
}

MixerSizes sizes(const Architecture& a, std::size_t) {
  const DeltaNet& d = a.delta;
  return {.mixed = d.values(), .state = d.key_size * d.values() + (d.kernel - 1) * d.channels()};
}

std::size_t floats(const Architecture& a) { return 2 * a.delta.channels() + 3 * a.delta.values(); }

}  // namespace

std::vector<DeltaStretch> delta_stretches(const DeltaNet& d) {
  if (!d.apart) return {{Role::in_qkv, "conv1d.weight", 0, d.channels()}};
  return {{Role::q, "q_conv1d.weight", 0, d.keys()},
          {Role::k, "k_conv1d.weight", d.keys(), d.keys()},
          {Role::v, "v_conv1d.weight", 2 * d.keys(), d.values()}};
}

constinit const MixerKind kDeltaMixer{.mixer = Mixer::delta,
                                      .name = "gated delta net",
                                      .module = &TensorNames::delta,
                                      .parse = parse,
                                      .linears = linears,
                                      .kept = kept,
                                      .sizes = sizes,
                                      .floats = floats};

}  // namespace strata::model
