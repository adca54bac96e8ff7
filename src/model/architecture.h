// All that the engine and the layers above ask about a model, as data: sizes, norms, names of tensors, rotary
// embeddings, attention windows, factors, experts, and the list of its linears with their fusion groups.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "model/linears.h"
#include "model/rope.h"
#include "model/tensor_names.h"

namespace strata::model {

enum class Activation { silu, gelu_tanh };

/// RMS norms of q and k before the rotary embedding: of each head, or of all heads together.
enum class QkNorm { none, per_head, whole };

/// Factors of the forward pass. A factor of 1 costs nothing.
struct Scales {
  float embedding = 1.0f;  ///< of the embedding's rows
  float attention = 1.0f;  ///< of the products of q and k: 1 / sqrt(head_dim) unless the family has another
  float residual = 1.0f;   ///< of what each half of a block adds to the residual stream
  float logits = 1.0f;     ///< of what lm_head puts out
  bool operator==(const Scales&) const = default;
};

/// How one block attends.
struct BlockAttention {
  std::size_t window = 0;  ///< how many keys a token sees; 0: all
  std::size_t rope = 0;    ///< index into Architecture::ropes
};

/// A mixture of experts in place of a block's feed-forward part, and how tokens are routed to them. The router's scores
/// choose `used` experts for each token, whose weighted outputs are added. transformers: modeling_mixtral.py,
/// modeling_qwen2_moe.py, modeling_qwen3_moe.py, modeling_olmoe.py, modeling_glm4_moe.py.
struct Experts {
  enum class Score { softmax, sigmoid };
  std::size_t count = 0;  ///< 0: all blocks are dense
  std::size_t used = 0, intermediate = 0;
  std::size_t shared_intermediate = 0;  ///< the shared expert's size; 0: there is no shared expert
  bool shared_gate = false;             ///< the shared expert's output is scaled by a sigmoid of its own
  Score score = Score::softmax;
  bool normalize = false;                   ///< the chosen weights are divided by their sum
  bool correction = false;                  ///< a bias per expert is added for choosing, not for weighing
  std::size_t groups = 1, groups_used = 1;  ///< only experts of the best groups (by their two best) can be chosen
  float scale = 1.0f;                       ///< multiplies the weights after everything else
  std::string_view module = "mlp";          ///< "model.layers.N." + this holds router and experts
  std::string_view gate = "gate_proj", up = "up_proj", down = "down_proj";  ///< names within each expert
  std::string_view shared_module = "shared_expert";
  /// Of stacks of experts in a file: whether they hold (in, out), and whether rows of gate and up take turns.
  bool transposed = false, interleaved = false;
};

struct Architecture {
  std::string model_type;  ///< config.json's: "llama", "mistral", "qwen2", "qwen3", "qwen3_moe" ...
  std::size_t hidden = 0, blocks = 0, heads = 0, kv_heads = 0, head_dim = 0, intermediate = 0, vocab = 0;
  std::size_t max_position = 0;
  float norm_epsilon = 1e-6f;
  float norm_offset = 0.0f;  ///< norms multiply by this + the tensor's values: 1 where files hold w - 1
  Activation activation = Activation::silu;
  bool qkv_bias = false, o_bias = false, mlp_bias = false;
  QkNorm qk_norm = QkNorm::none;
  bool tied = false;  ///< lm_head is the embedding
  Scales scales;
  std::vector<BlockAttention> attention;  ///< by block
  std::vector<Rope> ropes;                ///< the rotary embeddings that blocks choose from
  Experts experts;
  TensorNames names;

  std::vector<BlockLinears> layout;  ///< by block
  std::vector<Linear> linears;  ///< the blocks' in order, then lm_head when untied, the embedding in Fusion::single
  std::vector<FusionGroup> groups;

  std::size_t q_size() const { return heads * head_dim; }
  std::size_t kv_size() const { return kv_heads * head_dim; }
  /// Whether the model has this norm.
  bool has(Norm norm) const;
  /// How many weights the norm has.
  std::size_t norm_size(Norm norm) const;
  /// Whether o and down write to the residual stream itself: nothing norms or scales what they put out.
  bool adds_outputs_plainly() const;
  /// How many floats a forward pass holds for every token besides copies of the hidden states; limits of memory use it.
  std::size_t activations_per_token() const;
  /// How many weights the linears of all blocks have together.
  std::uint64_t block_linear_weights() const;
  /// The linears of a block.
  std::span<const Linear> block_linears(std::size_t block) const {
    return std::span(linears).subspan(layout[block].first, layout[block].count);
  }
  /// Index into `linears` of a block's q, k, v, o, gate, up or down; in a mixture the latter three need an expert.
  std::size_t index(std::size_t block, Role role, std::size_t expert = kNoExpert) const;
  const Linear& linear(std::size_t block, Role role, std::size_t expert = kNoExpert) const {
    return linears[index(block, role, expert)];
  }
  /// Index of lm_head; kNoLinear when it is tied.
  std::size_t lm_head() const { return tied ? kNoLinear : layout.back().first + layout.back().count; }
  /// Index of the embedding; kNoLinear where no codec can be chosen for it (Fusion::fused).
  std::size_t embedding() const {
    return !linears.empty() && linears.back().role == Role::embed ? linears.size() - 1 : kNoLinear;
  }
  /// The block before which nothing depends on the group's weights: `blocks` for lm_head, 0 for the embedding.
  std::size_t first_block(const FusionGroup& group) const;
};

struct Family;
/// Reads config.json. `where` names the file; `table` is where model_type is looked up. Throws Error for
/// an unknown model_type (listing the known), missing or absurd values, and features that the engine does not have.
Architecture parse_architecture(const json& config, const std::string& where, std::span<const Family> table);
/// Reads config.json by the families that are known here.
Architecture parse_architecture(const json& config, const std::string& where);

/// Fills linears and groups from the sizes and from which blocks are mixtures.
void list_linears(Architecture& architecture, Fusion fusion = Fusion::fused);

}  // namespace strata::model
