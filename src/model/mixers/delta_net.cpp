// Gated delta nets (DeltaNet): their sizes, which blocks have one, and what these hold.
// Keys and defaults are those of transformers' configuration_qwen3_next.py and configuration_qwen3_5.py.
#include "model/config_values.h"
#include "model/families.h"
#include "model/mixers/mixer.h"

namespace strata::model {
namespace {

/// Whether each block is a delta net: layer_types, or all but every n-th.
std::vector<bool> delta_blocks(const json& config, std::size_t blocks, const std::string& where) {
  std::vector<bool> result(blocks);
  const std::vector<std::string> types = names_by_block(config, "layer_types", blocks, where);
  const std::size_t every = size_or(config, "full_attention_interval", 4, where);
  for (std::size_t b = 0; b < blocks; ++b) {
    result[b] = types.empty() ? (b + 1) % every != 0 : types[b] == "linear_attention";
    if (!types.empty() && !result[b] && types[b] != "full_attention")
      fail("{}: 'layer_types' names '{}', expected linear_attention or full_attention", where, types[b]);
  }
  return result;
}

void parse(const json& config, const Family& family, Architecture& a, const std::string& where) {
  DeltaNet& d = a.delta;
  d.key_heads = size_or(config, "linear_num_key_heads", 16, where);
  d.value_heads = size_or(config, "linear_num_value_heads", 32, where);
  d.key_size = size_or(config, "linear_key_head_dim", 128, where);
  d.value_size = size_or(config, "linear_value_head_dim", 128, where);
  d.kernel = size_or(config, "linear_conv_kernel_dim", 4, where);
  d.by_key_heads = family.delta_by_key_heads;
  if (d.value_heads % d.key_heads != 0)
    fail("{}: {} heads of keys cannot be shared by {} heads of values", where, d.key_heads, d.value_heads);
  if (d.kernel > kLongestKernel || std::max(d.key_heads, d.value_heads) > kLargestSize / (d.key_size + d.value_size))
    fail("{}: {} and {} heads of {} and {} with a convolution over {} tokens are too large", where, d.key_heads,
         d.value_heads, d.key_size, d.value_size, d.kernel);
  a.output_gate = OutputGate::in_q;
  const std::vector<bool> delta = delta_blocks(config, a.blocks, where);
  for (std::size_t b = 0; b < a.blocks; ++b)
    if (delta[b]) a.attention[b].mixer = Mixer::delta;
}

/// vLLM holds what reads the block's input in two matrices (qwen3_5.py), as Qwen3-Next's files do.
std::vector<MixerLinear> linears(const Architecture& a, std::size_t) {
  const DeltaNet& d = a.delta;
  const std::string wide = a.names.linear(Role::in_qkvz), narrow = a.names.linear(Role::in_ba);
  std::vector<MixerLinear> list;
  const auto add = [&](Role role, std::size_t rows, const std::string& group) {
    list.push_back({.role = role, .rows = rows, .cols = a.hidden, .group = group});
  };
  if (d.by_key_heads) {
    add(Role::in_qkvz, d.channels() + d.values(), wide);
    add(Role::in_ba, 2 * d.value_heads, narrow);
  } else {
    add(Role::in_qkv, d.channels(), wide);
    add(Role::in_z, d.values(), wide);
    add(Role::in_b, d.value_heads, narrow);
    add(Role::in_a, d.value_heads, narrow);
  }
  list.push_back({.role = Role::o,
                  .rows = a.hidden,
                  .cols = d.values(),
                  .name = fmt::format("{}.{}", a.names.delta, a.names.delta_out)});
  return list;
}

std::vector<ExpectedTensor> kept(const Architecture& a, std::size_t block) {
  const DeltaNet& d = a.delta;
  return {kept_tensor(a, block, "conv1d.weight", {d.channels(), 1, d.kernel}),
          kept_tensor(a, block, "A_log", {d.value_heads}), kept_tensor(a, block, "dt_bias", {d.value_heads}),
          kept_tensor(a, block, "norm.weight", {d.value_size})};
}

MixerSizes sizes(const Architecture& a, std::size_t) {
  const DeltaNet& d = a.delta;
  return {.mixed = d.values(), .state = d.key_size * d.values() + (d.kernel - 1) * d.channels()};
}

std::size_t floats(const Architecture& a) { return 2 * a.delta.channels() + 3 * a.delta.values(); }

}  // namespace

constinit const MixerKind kDeltaMixer{.mixer = Mixer::delta,
                                      .name = "gated delta net",
                                      .module = &TensorNames::delta,
                                      .parse = parse,
                                      .linears = linears,
                                      .kept = kept,
                                      .sizes = sizes,
                                      .floats = floats};

}  // namespace strata::model
