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
#include "model/activation.h"
#include "model/block_attention.h"
#include "model/experts.h"
#include "model/linears.h"
#include "model/norm_kind.h"
#include "model/rope.h"
#include "model/scales.h"
#include "model/tensor_names.h"

namespace strata::model {

struct Architecture {
  std::string model_type;        ///< config.json's: "llama", "mistral", "qwen2", "qwen3", "qwen3_moe" ...
  std::string why_not_runnable;  ///< empty unless no family describes the model (unknown.h)
  std::size_t hidden = 0, blocks = 0, heads = 0, kv_heads = 0, head_dim = 0, intermediate = 0, vocab = 0;
  std::size_t max_position = 0;
  /// How many positions attention reads whole, where an indexer chooses keys of longer texts; 0: there is none.
  std::size_t whole_positions = 0;
  float norm_epsilon = 1e-6f;
  float norm_offset = 0.0f;  ///< norms multiply by this + the tensor's values: 1 where files hold w - 1
  NormKind norm_kind = NormKind::rms;
  bool norm_bias = false;    ///< norms of rows of the hidden size add one
  bool norm_weights = true;  ///< these norms multiply by weights; false: they have none
  /// Both halves read a norm of a block's input: the same (Norm::before_attention), or each its own.
  bool parallel = false;
  Activation activation = Activation::silu;
  bool gated = true;  ///< down reads a product of gate and up; false: there is no gate, and down reads the activation
  Swiglu swiglu;
  bool qkv_bias = false, o_bias = false, mlp_bias = false;
  bool head_bias = false;       ///< lm_head has one
  bool turned_linears = false;  ///< files hold the dense linears of blocks as (in, out)
  /// The rows of qkv are a key head's queries, the key and the value, of one key head after another.
  bool qkv_by_key_heads = false;
  QkNorm qk_norm = QkNorm::none;
  bool qk_norm_turned = false;  ///< these norms act after the rotary embedding, not before it
  bool qk_l2 = false;           ///< heads of q and k are divided by their root mean square after the rotary embedding
  float clip_qkv = 0.0f;        ///< q, k and v are held between this and its negative; 0: they are not
  float attention_softcap = 0.0f, logit_softcap = 0.0f;  ///< scores, logits s become c tanh(s / c); 0: they do not
  bool sinks = false;                                    ///< every head has a logit more in its softmax
  QueryScale query_scale;
  LearnedPositions learned;
  float alibi = 0.0f;  ///< scores fall with the distance of the key, by a slope of the head of at least 2^-this; 0: no
  Latent latent;
  DeltaNet delta;
  ShortConvolution convolution;
  Mamba mamba;
  SelectiveSpace selective;
  OutputGate output_gate = OutputGate::none;
  bool gate_by_head = false, gate_softplus = false;  ///< one gate a head, not a value; its softplus, not its sigmoid
  bool v_norm = false;                               ///< heads of v are divided by their root mean square
  std::size_t shared_size = 0;  ///< how many values of keys and values blocks leave to later ones, of every token
  BlockEmbedding block_embedding;
  bool block_scale = false;  ///< what a block puts out is multiplied by a number of its own
  bool tied = false;         ///< lm_head is the embedding
  EmbeddingQuery embedding_query = EmbeddingQuery::never;
  Scales scales;
  std::vector<BlockAttention> attention;  ///< by block
  std::vector<Rope> ropes;                ///< the rotary embeddings that blocks choose from
  Experts experts;
  Names names;
  std::vector<BlockLinears> layout;  ///< by block
  std::vector<Linear> linears;       ///< the blocks' in order, then lm_head when untied, and embedding()
  std::vector<FusionGroup> groups;
  Fusion fusion = Fusion::fused;  ///< by which `linears` and `groups` are listed

  /// Sizes of a block's heads, of all its queries and of all its keys; without a block the largest of any.
  std::size_t head_size(const BlockAttention& of) const { return of.head_dim != 0 ? of.head_dim : head_dim; }
  std::size_t kv_heads_of(const BlockAttention& of) const { return of.kv_heads != 0 ? of.kv_heads : kv_heads; }
  std::size_t heads_of(const BlockAttention& of) const { return of.heads != 0 ? of.heads : heads; }
  std::size_t q_size(std::size_t block) const { return heads_of(attention[block]) * head_size(attention[block]); }
  std::size_t kv_size(std::size_t block) const { return kv_heads_of(attention[block]) * head_size(attention[block]); }
  std::size_t q_size() const;
  std::size_t kv_size() const;
  /// How many stretches of queries, keys and values the rows of a block's qkv are.
  std::size_t qkv_stretches(std::size_t block) const { return qkv_by_key_heads ? kv_heads_of(attention[block]) : 1; }
  /// The width of a block's dense part, or the largest.
  std::size_t dense_size(std::size_t block) const { return intermediate * layout[block].widening; }
  std::size_t dense_size() const;
  /// Whether a block has a mixer, and whether it has a feed-forward part: a block may be one of the two alone.
  bool mixes(std::size_t block) const { return attention[block].mixer != Mixer::none; }
  bool feeds(std::size_t block) const { return layout[block].feeds; }
  /// How many values routed experts read and put out.
  std::size_t expert_size() const { return experts.latent != 0 ? experts.latent : hidden; }
  /// The matrices of every expert, in their order: gate, unless there is none, up and down.
  std::span<const Role> expert_roles() const;
  /// How many values o reads in a block, or at most.
  std::size_t mixed_size(std::size_t block) const;
  std::size_t mixed_size() const;
  /// How many values a block keeps for later tokens: of every token, and of all together.
  std::size_t cache_size(std::size_t block) const;
  std::size_t state_size(std::size_t block) const;
  /// Whether a block has this norm, or with kNoBlock the model, of Norm::first and Norm::last.
  bool has(Norm norm, std::size_t block) const;
  /// Whether any block or the model has it.
  bool has(Norm norm) const;
  /// How many values the norm acts on, and whether it has as many weights and biases.
  std::size_t norm_size(Norm norm, std::size_t block) const;
  bool has_weights(Norm norm) const;
  bool has_bias(Norm norm) const;
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
  /// Whether a block holds such a matrix outside of its routed experts: a block has q, k and v, or qkv.
  bool has(std::size_t block, Role role) const;
  /// Index into `linears` of a block's matrix; in a mixture gate, up and down need an expert.
  std::size_t index(std::size_t block, Role role, std::size_t expert = kNoExpert) const;
  const Linear& linear(std::size_t block, Role role, std::size_t expert = kNoExpert) const {
    return linears[index(block, role, expert)];
  }
  /// Index of lm_head; kNoLinear when it is tied.
  std::size_t lm_head() const { return tied ? kNoLinear : layout.back().first + layout.back().count; }
  /// Index of the embedding; kNoLinear where no codec can be chosen for it (Fusion).
  std::size_t embedding() const {
    return !linears.empty() && linears.back().role == Role::embed ? linears.size() - 1 : kNoLinear;
  }
  /// Whether files hold a head that is the embedding a second time where that has codes, which vLLM does not tie.
  bool copies_head() const { return tied && fusion == Fusion::fused_embedding && embedding() != kNoLinear; }
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
