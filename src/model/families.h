// The table of model families: a row each, which names only what differs from the defaults that most families share.
// Sources: transformers' configuration_*.py and modeling_*.py of each family; llama.cpp's convert_hf_to_gguf.py.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "model/architecture.h"

namespace strata::model {

enum class Bias {
  never,
  always,
  config,      ///< when attention_bias is true
  unless_off,  ///< unless qkv_bias is false
};

/// Where a family's sliding window comes from. layer_types, where config.json has it, says which blocks have the
/// window.
enum class WindowRule {
  none,
  every_block,   ///< when sliding_window is set, on every block (mistral)
  upper_blocks,  ///< when use_sliding_window, on blocks from max_window_layers on (qwen2, qwen3)
  when_used,     ///< when use_sliding_window, on every block (qwen3_moe)
  refused,       ///< use_sliding_window is an error (qwen2_moe)
};

/// Keys of config.json for the factors of Scales. A family without a key does not have the factor.
struct ScaleKeys {
  bool embedding_by_hidden = false;      ///< the embedding's rows are multiplied by sqrt(hidden_size)
  const char* embedding = nullptr;       ///< the embedding's rows are multiplied by the value
  const char* query_size = nullptr;      ///< products of q and k are divided by the value's square root, not head_dim's
  const char* attention = nullptr;       ///< products of q and k are multiplied by the value
  const char* residual = nullptr;        ///< what a half adds is multiplied by the value
  const char* logits_divisor = nullptr;  ///< logits are divided by the value
};

/// How a family's config.json describes its experts. Sizes of `experts` are filled from these keys.
struct Mixture {
  Experts experts;  ///< names of tensors, kind of scores; `normalize` unless norm_topk_prob is given
  const char* count_key = "num_experts";  ///< any family may have num_local_experts or n_routed_experts instead
  const char* size_key = "moe_intermediate_size";
  const char* shared_size_key = nullptr;   ///< holds the shared expert's size
  const char* shared_count_key = nullptr;  ///< holds how many times as large as a routed expert the shared one is
  std::size_t first_dense = 0;             ///< how many blocks are dense unless first_k_dense_replace is given
};

struct Family {
  std::string_view model_type;  ///< config.json's model_type
  std::string_view class_name;  ///< config.json's "architectures"
  std::string_view gguf{};      ///< general.architecture of a GGUF file; empty: GGUF files are refused
  Bias qkv_bias = Bias::config, o_bias = Bias::config;
  bool mlp_bias_key = false;  ///< config.json has mlp_bias (llama alone)
  QkNorm qk_norm = QkNorm::none;
  bool qk_norm_key = false;  ///< q and k have norms only when use_qk_norm is true
  float norm_offset = 0.0f;  ///< Architecture::norm_offset
  WindowRule window = WindowRule::none;
  const char* activation_key = "hidden_act";
  std::size_t default_head_dim = 0;  ///< 0: hidden_size / num_attention_heads
  double default_norm_epsilon = 1e-6;
  double default_rope_theta = 10000.0;
  double default_rotary_share = 1.0;      ///< of a head, unless partial_rotary_factor is given
  const char* window_rope_key = nullptr;  ///< holds the theta of blocks with a window, whose rope is not scaled
  bool default_tied = false;              ///< lm_head is the embedding unless tie_word_embeddings is given
  ScaleKeys scales{};
  TensorNames names{};
  const Mixture* mixture = nullptr;  ///< null for families of dense blocks
};

std::span<const Family> families();
/// nullptr when the table has no such row.
const Family* find_family(std::string_view model_type, std::span<const Family> table = families());
/// "llama, mistral, qwen2 ...".
std::string known_families(std::span<const Family> table = families());

}  // namespace strata::model
