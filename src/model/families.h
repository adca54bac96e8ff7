// The table of model families: what differs between them, a row each.
// Sources: transformers' configuration_*.py and modeling_*.py of each family; llama.cpp's convert_hf_to_gguf.py.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "model/architecture.h"

namespace strata::model {

/// config: when attention_bias is true; unless_off: unless qkv_bias is false.
enum class Bias { never, always, config, unless_off };

/// Where a family's sliding window comes from.
enum class WindowRule {
  none,
  every_block,   ///< mistral: sliding_window on every block when it is set
  upper_blocks,  ///< qwen2, qwen3: when use_sliding_window, on blocks from max_window_layers on (or by layer_types)
  when_used,     ///< qwen3_moe: when use_sliding_window, on every block
  refused,       ///< qwen2_moe: use_sliding_window is an error
};

/// How a family's config.json describes its experts. Sizes of `experts` are filled from these keys.
struct Mixture {
  Experts experts;  ///< names of tensors, kind of scores; `normalize` unless norm_topk_prob is given
  std::string_view size_key = "moe_intermediate_size";
  std::string_view shared_size_key{};   ///< the shared expert's size; empty: there is none
  std::string_view shared_count_key{};  ///< or how many of the routed ones' size it is
  std::size_t first_dense = 0;          ///< blocks that are dense unless first_k_dense_replace is given
};

struct Family {
  std::string_view model_type;  ///< config.json
  std::string_view class_name;  ///< config.json "architectures"
  std::string_view gguf;        ///< general.architecture of a GGUF file
  Bias qkv_bias, o_bias;
  bool mlp_bias_key;  ///< config has mlp_bias
  QkNorm qk_norm;
  WindowRule window;
  std::size_t default_head_dim;  ///< 0: hidden / heads
  double default_norm_epsilon;
  double default_rope_theta;
  const Mixture* mixture = nullptr;   ///< null: dense
  double default_rotary_share = 1.0;  ///< of a head, unless partial_rotary_factor is given
  bool qk_norm_key = false;           ///< norms of q and k only when use_qk_norm is true
};

std::span<const Family> families();
const Family* find_family(std::string_view model_type);
/// "llama, mistral, qwen2 ...".
std::string known_families();

}  // namespace strata::model
