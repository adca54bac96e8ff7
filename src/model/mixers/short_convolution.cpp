// Gated short convolutions (ShortConvolution): which blocks have one, what these hold, and the width of dense parts.
// Keys and defaults are those of transformers' configuration_lfm2.py, configuration_lfm2_moe.py and
// configuration_lfm3.py.
#include "model/config_values.h"
#include "model/families.h"
#include "model/mixers/mixer.h"

namespace strata::model {
namespace {

constexpr const char* kWidth = "block_ff_dim";  ///< in place of the family's key

std::vector<bool> convolution_blocks(const json& config, const Family& family, std::size_t blocks,
                                     const std::string& where) {
  std::vector<bool> result(blocks, false);
  const std::vector<std::string> types = names_by_block(config, "layer_types", blocks, where);
  if (!types.empty()) {
    for (std::size_t b = 0; b < blocks; ++b) {
      const bool windowed = types[b] == "sliding_attention" && family.window != WindowRule::none;
      if (types[b] != "conv" && types[b] != "full_attention" && !windowed)
        fail("{}: 'layer_types' names '{}', expected conv or full_attention{}", where, types[b],
             family.window != WindowRule::none ? " or sliding_attention" : "");
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

/// LFM2 writes the width that two thirds are taken of, and rounded up.
std::size_t adjusted_width(const json& config, std::size_t width, const std::string& where) {
  if (!get_or<bool>(config, "block_auto_adjust_ff_dim", true, where)) return width;
  width = 2 * width / 3;
  if (const auto it = config.find("block_ffn_dim_multiplier"); it != config.end() && !it->is_null())
    width =
        static_cast<std::size_t>(positive(config, "block_ffn_dim_multiplier", 1.0, where) * static_cast<double>(width));
  const std::size_t multiple = size_or(config, "block_multiple_of", 256, where);
  return (width + multiple - 1) / multiple * multiple;
}

/// Which blocks attend, and which of them have a window, where LFM3's config.json does not say it.
json usual_types(std::size_t blocks) {
  json types = json::array();
  for (std::size_t b = 0; b < blocks; ++b)
    types.push_back(b % 4 == 2 ? "full_attention" : b % 4 == 0 && b > 0 ? "sliding_attention" : "conv");
  return types;
}

void prepare(json& config, const Family& family, const std::string& where) {
  if (config.contains(kWidth)) config[family.intermediate_key] = size_of(config, kWidth, where);
  if (family.window == WindowRule::none || has_value(config, "layer_types")) return;
  const std::size_t blocks = size_of(config, "num_hidden_layers", where);
  if (blocks <= kMostBlocks) config["layer_types"] = usual_types(blocks);
}

void parse(const json& config, const Family& family, Architecture& a, const std::string& where) {
  a.convolution.kernel = size_or(config, "conv_L_cache", 3, where);
  a.convolution.bias = get_or<bool>(config, "conv_bias", false, where);
  if (a.convolution.kernel > kLongestKernel)
    fail("{}: 'conv_L_cache' is {}, expected at most {}", where, a.convolution.kernel, kLongestKernel);
  const std::vector<bool> convolves = convolution_blocks(config, family, a.blocks, where);
  for (std::size_t b = 0; b < a.blocks; ++b)
    if (convolves[b]) a.attention[b].mixer = Mixer::convolution;
  if (!config.contains("num_experts")) a.intermediate = adjusted_width(config, a.intermediate, where);
}

std::vector<MixerLinear> linears(const Architecture& a, std::size_t) {
  const bool bias = a.convolution.bias;
  return {{.role = Role::in_bcx, .rows = 3 * a.hidden, .cols = a.hidden, .bias = bias},
          {.role = Role::o,
           .rows = a.hidden,
           .cols = a.hidden,
           .bias = bias,
           .name = fmt::format("{}.{}", a.names.convolution, a.names.convolution_out)}};
}

std::vector<ExpectedTensor> kept(const Architecture& a, std::size_t block) {
  std::vector<ExpectedTensor> list = {kept_tensor(a, block, "conv.weight", {a.hidden, 1, a.convolution.kernel})};
  if (a.convolution.bias) list.push_back(kept_tensor(a, block, "conv.bias", {a.hidden}));
  return list;
}

MixerSizes sizes(const Architecture& a, std::size_t) {
  return {.mixed = a.hidden, .state = (a.convolution.kernel - 1) * a.hidden};
}

std::size_t floats(const Architecture& a) { return a.convolution.kernel == 0 ? 0 : 5 * a.hidden; }

}  // namespace

constinit const MixerKind kConvolutionMixer{.mixer = Mixer::convolution,
                                            .name = "short convolution",
                                            .module = &TensorNames::convolution,
                                            .prepare = prepare,
                                            .parse = parse,
                                            .linears = linears,
                                            .kept = kept,
                                            .sizes = sizes,
                                            .floats = floats};

}  // namespace strata::model
