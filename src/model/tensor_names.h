// How a family names its tensors in Hugging Face's files, and which norms it has: data of a family's row.
// No other file spells these names.
#pragma once
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace strata::model {

/// Which weight matrix of a block, or of the model, a linear is.
enum class Role { q, k, v, o, gate, up, down, lm_head, embed };
std::string_view role_name(Role role);

/// Where an RMS norm stands. Norms before attention and before the feed-forward part make what these read; norms after
/// them act on what is added to the residual stream. `last` is the norm that lm_head reads.
enum class Norm { before_attention, q, k, after_attention, before_feed_forward, after_feed_forward, last };

/// The norms of a block that act on rows of the hidden size.
inline constexpr std::array kStreamNorms = {Norm::before_attention, Norm::after_attention, Norm::before_feed_forward,
                                            Norm::after_feed_forward};
/// All norms of a block, in the order of its tensors.
inline constexpr std::array kBlockNorms = {Norm::before_attention,
                                           Norm::after_attention,
                                           Norm::before_feed_forward,
                                           Norm::after_feed_forward,
                                           Norm::q,
                                           Norm::k};

/// Names of tensors without ".weight". The defaults are llama's, which most families share. What a block has is named
/// below `blocks`, the block's index and a point; the matrices of its two halves below `attention` or `feed_forward`
/// and a point. A norm without a name does not exist; q_norm and k_norm exist where Architecture::qk_norm says so.
struct TensorNames {
  std::string_view embedding = "model.embed_tokens", head = "lm_head", blocks = "model.layers.";
  std::string_view attention = "self_attn", q = "q_proj", k = "k_proj", v = "v_proj", o = "o_proj";
  std::string_view feed_forward = "mlp", gate = "gate_proj", up = "up_proj", down = "down_proj";
  std::string_view before_attention = "input_layernorm", after_attention{};
  std::string_view before_feed_forward = "post_attention_layernorm", after_feed_forward{};
  std::string_view q_norm = "self_attn.q_norm", k_norm = "self_attn.k_norm", last_norm = "model.norm";

  /// "model.layers.3."
  std::string block(std::size_t block) const;
  /// The name within a dense block, "mlp.down_proj"; the whole name of lm_head and embed.
  std::string linear(Role role) const;
  /// The name within a block, "input_layernorm", or the whole name of the last norm; empty when there is none.
  std::string_view norm(Norm norm) const;
};

}  // namespace strata::model
