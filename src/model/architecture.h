// All that a model family is, as data: sizes, rotary embedding, biases, norms, attention window, and the list of its
// linears with their fusion groups. The engine reads this; a new dense family is a row in families.cpp.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace strata::model {

enum class Role { q, k, v, o, gate, up, down, lm_head, embed };
std::string_view role_name(Role role);

enum class Activation { silu, gelu_tanh };

/// Rotary embedding. transformers, modeling_rope_utils.py: default, linear, dynamic, llama3.
struct Rope {
  enum class Scaling { none, linear, dynamic, llama3 };
  double theta = 10000.0;
  Scaling scaling = Scaling::none;
  double factor = 1.0;
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  ///< llama3
  std::size_t original_max_position = 0;                 ///< llama3, dynamic
};

/// One weight matrix (rows, cols) = (out, in).
struct Linear {
  std::string module;  ///< "model.layers.3.mlp.down_proj": its weight is module + ".weight"
  Role role;
  std::size_t block;  ///< kNoBlock for lm_head and the embedding
  std::size_t rows, cols;
  bool bias;
  std::size_t group;  ///< linears of one group share a codec; index into Architecture::groups
};
inline constexpr std::size_t kNoBlock = static_cast<std::size_t>(-1);
/// Linears of a block, in the order of Role: q, k, v, o, gate, up, down.
inline constexpr std::size_t kBlockLinears = 7;

/// Which matrices a runtime wants in one codec.
enum class Fusion {
  fused,   ///< q, k, v together, and gate, up; the embedding stays dense (vLLM)
  single,  ///< every matrix alone, the embedding among them (GGUF)
};

/// Linears that a runtime fuses: they must share one codec.
struct FusionGroup {
  std::string name;  ///< "model.layers.3.self_attn.qkv_proj"
  std::size_t block;
  std::vector<std::size_t> linears;  ///< indices into Architecture::linears
};

struct Architecture {
  std::string model_type;  ///< config.json's: "llama", "mistral", "qwen2", "qwen3"
  std::size_t hidden = 0, blocks = 0, heads = 0, kv_heads = 0, head_dim = 0, intermediate = 0, vocab = 0;
  std::size_t max_position = 0;
  float norm_epsilon = 1e-6f;
  Activation activation = Activation::silu;
  bool qkv_bias = false, o_bias = false, mlp_bias = false;
  bool qk_norm = false;             ///< RMS norm over each head of q and k before the rotary embedding
  bool tied = false;                ///< lm_head is the embedding
  std::vector<std::size_t> window;  ///< per block: keys a token sees, 0 means all
  Rope rope;

  std::vector<Linear> linears;  ///< all of the blocks, in order, lm_head when untied, the embedding in Fusion::single
  std::vector<FusionGroup> groups;

  std::size_t q_size() const { return heads * head_dim; }
  std::size_t kv_size() const { return kv_heads * head_dim; }
  /// Weights of all linears of the blocks.
  std::uint64_t block_linear_weights() const;
  /// Index into `linears` of a block's q, k, v, o, gate, up or down.
  std::size_t index(std::size_t block, Role role) const {
    return block * kBlockLinears + static_cast<std::size_t>(role);
  }
  const Linear& linear(std::size_t block, Role role) const { return linears[index(block, role)]; }
  /// Index of lm_head (kNoBlock when tied) and of the embedding (kNoBlock where it is no choice).
  std::size_t lm_head() const { return tied ? kNoBlock : blocks * kBlockLinears; }
  std::size_t embedding() const {
    return !linears.empty() && linears.back().role == Role::embed ? linears.size() - 1 : kNoBlock;
  }
  /// The block before which nothing depends on the group's weights: `blocks` for lm_head, 0 for the embedding.
  std::size_t first_block(const FusionGroup& group) const;
};

/// Reads config.json. `where` names the file. Throws Error for an unknown model_type (listing the known), missing or
/// absurd values, and features that the engine does not have.
Architecture parse_architecture(const json& config, const std::string& where);

/// Angles of the rotary embedding: inverse frequencies, head_dim / 2 of them, for a call whose last position is
/// `last_position` (only dynamic scaling depends on it).
std::vector<double> inverse_frequencies(const Architecture& architecture, std::size_t last_position);

/// Fills linears and groups from the sizes.
void list_linears(Architecture& architecture, Fusion fusion = Fusion::fused);

}  // namespace strata::model
