// How a family names its tensors in Hugging Face's files, and which norms it has: data of a family's row.
// No other file spells these names.
#pragma once
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace strata::model {

/// Which weight matrix of a block, or of the model, a linear is.
/// out_gate makes what multiplies what attention puts out, where q does not make it too. qkv and gate_up are matrices
/// that hold several of the others, one after another, where a family stores them so.
/// q_a, q_b, kv_a and kv_b are those of latent attention; a gated delta net reads by in_qkv, in_z, in_b and in_a, or by
/// in_qkvz and in_ba, which hold two of them each; a short convolution by in_bcx, Mamba-2 by in_zxbcdt, Mamba-1 by
/// in_xz, dtbc and dt. to_latent makes what narrow experts read, from_latent what is added of their sum. embed_gate and
/// embed_out add what a token's row of a BlockEmbedding is to a block. other is a matrix of an unknown model
/// (unknown.h) whose name tells nothing.
enum class Role {
  q,
  k,
  v,
  o,
  gate,
  up,
  down,
  out_gate,
  qkv,
  gate_up,
  q_a,
  q_b,
  kv_a,
  kv_b,
  in_qkv,
  in_z,
  in_b,
  in_a,
  in_qkvz,
  in_ba,
  in_bcx,
  in_zxbcdt,
  in_xz,
  dtbc,
  dt,
  to_latent,
  from_latent,
  embed_gate,
  embed_out,
  lm_head,
  embed,
  other
};
std::string_view role_name(Role role);

/// Where an RMS norm stands. Norms before attention and before the feed-forward part make what these read; norms after
/// them act on what is added to the residual stream. q_a and kv_a act on the latents that q_b and kv_b read. Where a
/// dense part stands beside the experts (Experts::beside_dense), before_feed_forward makes what the dense part reads,
/// before_experts what the experts do, and after_dense and after_experts act on what they put out. after_embedding acts
/// on what embed_out adds. `first` acts on what the first block reads; `last` is the norm that lm_head reads.
enum class Norm {
  before_attention,
  q,
  k,
  q_a,
  kv_a,
  after_attention,
  before_feed_forward,
  after_dense,
  before_experts,
  after_experts,
  after_feed_forward,
  after_embedding,
  first,
  last
};

/// The norms of a block that act on rows of the hidden size.
inline constexpr std::array kStreamNorms = {Norm::before_attention,   Norm::after_attention, Norm::before_feed_forward,
                                            Norm::after_feed_forward, Norm::after_dense,     Norm::before_experts,
                                            Norm::after_experts,      Norm::after_embedding};
/// The norms within mixers, each of which says which of them it has (mixers/mixer.h).
inline constexpr std::array kMixerNorms = {Norm::q, Norm::k, Norm::q_a, Norm::kv_a};
/// All norms of a block, in the order of its tensors.
inline constexpr std::array kBlockNorms = {Norm::before_attention,
                                           Norm::after_attention,
                                           Norm::before_feed_forward,
                                           Norm::after_feed_forward,
                                           Norm::q,
                                           Norm::k,
                                           Norm::q_a,
                                           Norm::kv_a,
                                           Norm::after_dense,
                                           Norm::before_experts,
                                           Norm::after_experts,
                                           Norm::after_embedding};

/// A family's names of tensors, without ".weight". The defaults are llama's, which most families share. Embedding,
/// blocks and the last norm are named below a root that files choose (Names). What a block has is named below `blocks`,
/// the block's index and a point; the matrices of its two halves below `attention` or `feed_forward` and a point, which
/// may be empty. A
/// norm without a name does not exist; q_norm and k_norm exist where Architecture::qk_norm says so. Where qkv has a
/// name, one matrix holds q, k and v; where gate_up has one, a dense block's gate and up.
struct TensorNames {
  std::string_view embedding = "embed_tokens", head = "lm_head", blocks = "layers.";
  std::string_view attention = "self_attn", q = "q_proj", k = "k_proj", v = "v_proj", o = "o_proj", qkv{},
                   out_gate = "gate_proj";
  std::string_view feed_forward = "mlp", gate = "gate_proj", up = "up_proj", down = "down_proj", gate_up{};
  std::string_view q_a = "q_a_proj", q_b = "q_b_proj", kv_a = "kv_a_proj_with_mqa", kv_b = "kv_b_proj";
  std::string_view delta = "linear_attn", in_qkv = "in_proj_qkv", in_z = "in_proj_z", in_b = "in_proj_b",
                   in_a = "in_proj_a", in_qkvz = "in_proj_qkvz", in_ba = "in_proj_ba", delta_out = "out_proj";
  std::string_view convolution = "conv", in_bcx = "in_proj", convolution_out = "out_proj";
  std::string_view mamba = "mamba", in_zxbcdt = "in_proj", mamba_out = "out_proj";
  std::string_view selective = "mamba", in_xz = "in_proj", dtbc = "x_proj", dt = "dt_proj", selective_out = "out_proj";
  std::string_view before_attention = "input_layernorm", after_attention{};
  std::string_view before_feed_forward = "post_attention_layernorm", after_feed_forward{};
  std::string_view q_norm = "self_attn.q_norm", k_norm = "self_attn.k_norm", last_norm = "norm";
  std::string_view q_a_norm = "self_attn.q_a_layernorm", kv_a_norm = "self_attn.kv_a_layernorm";
  std::string_view after_dense{}, before_experts{}, after_experts{}, after_embedding{}, first_norm{};
  std::string_view sinks = "self_attn.sinks";     ///< used where Architecture::sinks is set; a tensor without ".weight"
  std::string_view block_scale = "layer_scalar";  ///< a tensor without ".weight"
  std::string_view xielu = "mlp.act_fn";          ///< used with Activation::xielu: below it are XieluTensors
  std::string_view positions{};                   ///< the table of learned positions, below the root
  std::string_view embed_gate = "per_layer_input_gate", embed_out = "per_layer_projection";
  const TensorNames* attending = nullptr;  ///< names the norms of blocks that attend, where the others' stand elsewhere
  /// Of a BlockEmbedding, below the root: the table, what projects the embedding, and the norm of that.
  std::string_view block_table = "embed_tokens_per_layer", block_projection = "per_layer_model_projection",
                   block_projection_norm = "per_layer_projection_norm";

  /// The name within a block, "input_layernorm", or of the first or last norm below the root; empty when there is none.
  std::string_view norm(Norm norm) const;
};

/// A family's names with what the files put before them: "model.", "model.language_model." in a model that sees too,
/// or nothing.
struct Names : TensorNames {
  std::string root = "model.";
  std::string head_root = {};  ///< stands before the head's name

  /// What stands before the names within a module, "mlp."; nothing where they are those of the block itself.
  static std::string within(std::string_view module);
  /// "model.layers.3."
  std::string block(std::size_t block) const;
  /// The name within a dense block, "mlp.down_proj", o being that of attention; the whole name of lm_head and embed.
  /// What experts have is named by Experts.
  std::string linear(Role role) const;
};

}  // namespace strata::model
