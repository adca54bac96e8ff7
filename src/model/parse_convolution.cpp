// config.json -> short convolutions, which blocks have one, and the width of dense blocks.
// Keys and defaults are those of transformers' configuration_lfm2.py and configuration_lfm2_moe.py.
#include <cmath>

#include "model/config_values.h"
#include "model/parse.h"

namespace strata::model {
namespace {

std::vector<bool> convolution_blocks(const json& config, std::size_t blocks, const std::string& where) {
  std::vector<bool> result(blocks, false);
  const std::vector<std::string> types = names_by_block(config, "layer_types", blocks, where);
  if (!types.empty()) {
    for (std::size_t b = 0; b < blocks; ++b) {
      if (types[b] != "conv" && types[b] != "full_attention")
        fail("{}: 'layer_types' names '{}', expected conv or full_attention", where, types[b]);
      result[b] = types[b] == "conv";
    }
    return result;
  }
  if (!has_value(config, "full_attn_idxs")) return result;
  result.assign(blocks, true);
  for (const auto block : get<std::vector<std::uint64_t>>(config, "full_attn_idxs", where))
    if (block < blocks) result[block] = false;
  return result;
}

/// LFM2 writes the width that two thirds are taken of, and rounded up: only of models that have block_* keys.
std::size_t adjusted_width(const json& config, std::size_t width, const std::string& where) {
  width = size_or(config, "block_ff_dim", width, where);
  if (!get_or<bool>(config, "block_auto_adjust_ff_dim", true, where)) return width;
  width = 2 * width / 3;
  if (const auto it = config.find("block_ffn_dim_multiplier"); it != config.end() && !it->is_null())
    width =
        static_cast<std::size_t>(positive(config, "block_ffn_dim_multiplier", 1.0, where) * static_cast<double>(width));
  const std::size_t multiple = size_or(config, "block_multiple_of", 256, where);
  return (width + multiple - 1) / multiple * multiple;
}

}  // namespace

void parse_convolution(const json& config, Architecture& a, const std::string& where) {
  a.convolution.kernel = size_or(config, "conv_L_cache", 3, where);
  a.convolution.bias = get_or<bool>(config, "conv_bias", false, where);
  if (a.convolution.kernel > kLongestKernel)
    fail("{}: 'conv_L_cache' is {}, expected at most {}", where, a.convolution.kernel, kLongestKernel);
  a.attention.resize(a.blocks);
  const std::vector<bool> convolves = convolution_blocks(config, a.blocks, where);
  for (std::size_t b = 0; b < a.blocks; ++b)
    if (convolves[b]) a.attention[b].mixer = Mixer::convolution;
  if (!config.contains("num_experts")) a.intermediate = adjusted_width(config, a.intermediate, where);
}

}  // namespace strata::model
