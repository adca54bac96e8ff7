// The table of model families: what differs between them, a row each.
// Sources: transformers' configuration_*.py and modeling_*.py of each family; llama.cpp's convert_hf_to_gguf.py.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace strata::model {

enum class Bias { never, always, config };  ///< config: the key attention_bias

/// Where a family's sliding window comes from.
enum class WindowRule {
  none,
  every_block,   ///< mistral: sliding_window on every block when it is set
  upper_blocks,  ///< qwen2, qwen3: when use_sliding_window, on blocks from max_window_layers on (or by layer_types)
};

struct Family {
  std::string_view model_type;  ///< config.json
  std::string_view class_name;  ///< config.json "architectures"
  std::string_view gguf;        ///< general.architecture of a GGUF file
  Bias qkv_bias, o_bias;
  bool mlp_bias_key;  ///< config has mlp_bias
  bool qk_norm;
  WindowRule window;
  std::size_t default_head_dim;  ///< 0: hidden / heads
  double default_norm_epsilon;
  double default_rope_theta;
};

std::span<const Family> families();
const Family* find_family(std::string_view model_type);
/// "llama, mistral, qwen2, qwen3".
std::string known_families();

}  // namespace strata::model
