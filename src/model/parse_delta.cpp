// config.json -> sizes of gated delta nets, and which blocks have one.
// Keys and defaults are those of transformers' configuration_qwen3_next.py and configuration_qwen3_5.py.
#include "model/config_values.h"
#include "model/parse.h"

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

}  // namespace

void parse_delta(const json& config, const Family& family, Architecture& a, const std::string& where) {
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
  a.output_gate = true;
  a.attention.resize(a.blocks);
  const std::vector<bool> delta = delta_blocks(config, a.blocks, where);
  for (std::size_t b = 0; b < a.blocks; ++b)
    if (delta[b]) a.attention[b].mixer = Mixer::delta;
}

}  // namespace strata::model
