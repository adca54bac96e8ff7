// All that a model family is, as data: sizes, rotary embedding, biases, norms, attention window, routing of experts,
// and the list of its linears with their fusion groups. The engine reads this; a new family is a row in families.cpp.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace strata::model {

enum class Role { q, k, v, o, gate, up, down, lm_head, embed };
std::string_view role_name(Role role);

enum class Activation { silu, gelu_tanh };

/// RMS norm of q and k before the rotary embedding: of each head, or of all heads together.
enum class QkNorm { none, per_head, whole };

/// Rotary embedding. transformers, modeling_rope_utils.py: default, linear, dynamic, llama3.
struct Rope {
  enum class Scaling { none, linear, dynamic, llama3 };
  double theta = 10000.0;
  std::size_t dims = 0;  ///< of a head, the first that are rotated
  Scaling scaling = Scaling::none;
  double factor = 1.0;
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  ///< llama3
  std::size_t original_max_position = 0;                 ///< llama3, dynamic
};

inline constexpr std::size_t kNoBlock = static_cast<std::size_t>(-1);
inline constexpr std::size_t kNoExpert = static_cast<std::size_t>(-1);
inline constexpr std::size_t kSharedExpert = static_cast<std::size_t>(-2);  ///< the one that every token goes to

/// One weight matrix (rows, cols) = (out, in).
struct Linear {
  std::string module;  ///< "model.layers.3.mlp.down_proj": its weight is module + ".weight"
  Role role;
  std::size_t block;  ///< kNoBlock for lm_head and the embedding
  std::size_t rows, cols;
  bool bias;
  std::size_t group;               ///< linears of one group share a codec; index into Architecture::groups
  std::size_t expert = kNoExpert;  ///< gate, up, down of a mixture: its index, or kSharedExpert
  bool routed() const { return expert != kNoExpert && expert != kSharedExpert; }
};

/// A mixture of experts in place of a block's feed-forward part, and how tokens are routed to them. The scores of the
/// router's outputs choose `used` experts a token; their weighted outputs are added. transformers: modeling_mixtral.py,
/// modeling_qwen2_moe.py, modeling_qwen3_moe.py, modeling_olmoe.py, modeling_glm4_moe.py.
struct Experts {
  enum class Score { softmax, sigmoid };
  std::size_t count = 0;  ///< 0: all blocks are dense
  std::size_t used = 0, intermediate = 0;
  std::size_t shared_intermediate = 0;  ///< of the shared expert; 0: there is none
  bool shared_gate = false;             ///< the shared expert's output is scaled by a sigmoid of its own
  Score score = Score::softmax;
  bool normalize = false;                   ///< the chosen weights are divided by their sum
  bool correction = false;                  ///< a bias per expert is added for choosing, not for weighing
  std::size_t groups = 1, groups_used = 1;  ///< only experts of the best groups (by their two best) can be chosen
  float scale = 1.0f;                       ///< of the weights, in the end
  std::string_view module = "mlp";          ///< "model.layers.N." + this holds router and experts
  std::string_view gate = "gate_proj", up = "up_proj", down = "down_proj";  ///< of each expert
  std::string_view shared_module = "shared_expert";
};

/// A block's stretch of Architecture::linears: q, k, v, o, then gate, up, down; of a mixture those of the shared expert
/// (if any), then of each expert.
struct BlockLinears {
  std::size_t first, count;
  bool mixture;
};

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
  std::string model_type;  ///< config.json's: "llama", "mistral", "qwen2", "qwen3", "qwen3_moe" ...
  std::size_t hidden = 0, blocks = 0, heads = 0, kv_heads = 0, head_dim = 0, intermediate = 0, vocab = 0;
  std::size_t max_position = 0;
  float norm_epsilon = 1e-6f;
  Activation activation = Activation::silu;
  bool qkv_bias = false, o_bias = false, mlp_bias = false;
  QkNorm qk_norm = QkNorm::none;
  bool tied = false;                ///< lm_head is the embedding
  std::vector<std::size_t> window;  ///< per block: keys a token sees, 0 means all
  Rope rope;
  Experts experts;

  std::vector<BlockLinears> layout;  ///< by block
  std::vector<Linear> linears;       ///< of the blocks, in order, lm_head when untied, the embedding in Fusion::single
  std::vector<FusionGroup> groups;

  std::size_t q_size() const { return heads * head_dim; }
  std::size_t kv_size() const { return kv_heads * head_dim; }
  /// Floats that a forward pass holds of every token besides the hidden states' copies, for limits of memory.
  std::size_t activations_per_token() const;
  /// Weights of all linears of the blocks.
  std::uint64_t block_linear_weights() const;
  /// The linears of a block.
  std::span<const Linear> block_linears(std::size_t block) const {
    return std::span(linears).subspan(layout[block].first, layout[block].count);
  }
  /// Index into `linears` of a block's q, k, v, o, gate, up or down; the latter three of an expert in a mixture.
  std::size_t index(std::size_t block, Role role, std::size_t expert = kNoExpert) const;
  const Linear& linear(std::size_t block, Role role, std::size_t expert = kNoExpert) const {
    return linears[index(block, role, expert)];
  }
  /// Index of lm_head (kNoBlock when tied) and of the embedding (kNoBlock where it is no choice).
  std::size_t lm_head() const { return tied ? kNoBlock : layout.back().first + layout.back().count; }
  std::size_t embedding() const {
    return !linears.empty() && linears.back().role == Role::embed ? linears.size() - 1 : kNoBlock;
  }
  /// The block before which nothing depends on the group's weights: `blocks` for lm_head, 0 for the embedding.
  std::size_t first_block(const FusionGroup& group) const;
};

/// Reads config.json. `where` names the file. Throws Error for an unknown model_type (listing the known), missing or
/// absurd values, and features that the engine does not have.
Architecture parse_architecture(const json& config, const std::string& where);

/// Angles of the rotary embedding: inverse frequencies, rope.dims / 2 of them, for a call whose last position is
/// `last_position` (only dynamic scaling depends on it).
std::vector<double> inverse_frequencies(const Architecture& architecture, std::size_t last_position);

/// Fills linears and groups from the sizes and from which blocks are mixtures.
void list_linears(Architecture& architecture, Fusion fusion = Fusion::fused);

}  // namespace strata::model
