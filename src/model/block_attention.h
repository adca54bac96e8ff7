// What stands before a block's feed-forward part, as data: attention of some kind, its window, its rotary embedding.
#pragma once
#include <cstddef>
#include <limits>
#include <string_view>

namespace strata::model {

inline constexpr std::size_t kNoRope = static_cast<std::size_t>(-1);     ///< in place of an index into ropes
inline constexpr std::size_t kOwnKeys = static_cast<std::size_t>(-1);    ///< in place of another block's index
inline constexpr std::size_t kNotShared = static_cast<std::size_t>(-1);  ///< in place of where shared keys stand

/// What stands before a block's feed-forward part.
enum class Mixer {
  attention,
  latent,       ///< attention whose keys and values are made from one narrow row a token (Latent)
  delta,        ///< a gated delta net (DeltaNet)
  convolution,  ///< a gated convolution over a few tokens (ShortConvolution)
  mamba,        ///< a state space (Mamba)
  selective,    ///< a state space of single channels (SelectiveSpace)
  none,         ///< nothing: the block is a feed-forward part
};

std::string_view mixer_name(Mixer mixer);

/// Multi-head latent attention: arXiv 2405.04434, section 2.1; transformers: modeling_deepseek_v3.py. A head of q and k
/// has `plain` dimensions and then `turned` ones, which the rotary embedding acts on; the turned ones of k are the same
/// for all heads. kv_a gives kv_rank values and the turned ones of k; kv_b makes the plain ones of k and v of them.
struct Latent {
  std::size_t q_rank = 0;   ///< values between q_a and q_b; 0: q is one matrix
  std::size_t kv_rank = 0;  ///< values between kv_a and kv_b; 0: no block has latent attention
  std::size_t plain = 0, turned = 0, value = 0;
  float norm_epsilon = 1e-6f;  ///< of the norms of the latents
};

/// A gated delta net: arXiv 2412.06464; transformers: modeling_qwen3_next.py, modeling_qwen3_5.py,
/// modeling_olmo_hybrid.py. Its queries, keys and values go through a convolution over time; a head of values has a
/// state (key_size, value_size) in place of a cache.
struct DeltaNet {
  std::size_t key_heads = 0, value_heads = 0, key_size = 0, value_size = 0;
  std::size_t kernel = 0;      ///< tokens that the convolution sees
  bool by_key_heads = false;   ///< files hold q, k, v and z of a key head together, and b and a of one
  bool apart = false;          ///< q, k and v are linears of their own, each with a convolution of its own in the files
  bool tiled = false;          ///< heads of values that read one head of keys are key_heads apart, not neighbours
  float beta_scale = 1.0f;     ///< multiplies the sigmoid that says how much a state is corrected
  float norm_epsilon = 1e-6f;  ///< of the norm before o
  std::string_view norm = "norm.weight";  ///< the name of that norm within the mixer
  /// How many values q has, and k.
  std::size_t keys() const { return key_heads * key_size; }
  /// The channels of the convolution: q, k and v of all heads.
  std::size_t channels() const { return 2 * keys() + values(); }
  /// The values of all heads.
  std::size_t values() const { return value_heads * value_size; }
};

/// A gated short convolution: transformers, Lfm2ShortConv of modeling_lfm2.py. in_bcx gives b, c and x, (hidden) each;
/// o reads c times the convolution over time of b times x.
struct ShortConvolution {
  std::size_t kernel = 0;  ///< tokens that it sees
  bool bias = false;       ///< in_bcx, o and the convolution have one
};

/// Mamba-2: arXiv 2405.21060; transformers: modeling_nemotron_h.py, modeling_granitemoehybrid.py. in_zxbcdt gives, one
/// after another, the gate z and x (inner each), b and c (groups * state each) and a step a head; x, b and c go through
/// a convolution over time, and a head has a state (head_dim, state) in place of a cache. o reads a norm of each group.
struct Mamba {
  std::size_t heads = 0, head_dim = 0, state = 0;
  std::size_t groups = 1;  ///< of heads that share b and c
  std::size_t kernel = 0;  ///< tokens that the convolution sees; 0: no block is of this kind
  bool bias = false;       ///< in_zxbcdt and o have one
  bool convolution_bias = false;
  float least_step = 0.0f, most_step = std::numeric_limits<float>::infinity();
  std::size_t inner() const { return heads * head_dim; }
  /// The channels of the convolution: x, b and c.
  std::size_t channels() const { return inner() + 2 * groups * state; }
  /// The rows of in_zxbcdt.
  std::size_t rows() const { return inner() + channels() + heads; }
  /// How many floats a forward pass makes of a token: these rows, the convolution's, the gate and what o reads.
  std::size_t floats() const { return kernel == 0 ? 0 : rows() + channels() + 2 * inner(); }
};

/// Mamba-1: arXiv 2312.00752; transformers: modeling_mamba.py, modeling_falcon_mamba.py. in_xz gives x and the gate z,
/// (inner) each; x goes through a convolution over time. dtbc makes of it what dt makes a step for every channel of,
/// then b and c; a channel has a state (state) in place of a cache.
struct SelectiveSpace {
  std::size_t inner = 0, state = 0;
  std::size_t rank = 0;    ///< values that the steps are made of
  std::size_t kernel = 0;  ///< tokens that the convolution sees; 0: no block is of this kind
  bool bias = false;       ///< in_xz and o have one
  bool convolution_bias = false;
  float norm_epsilon = 0.0f;  ///< what dt reads, b and c are divided by their root mean square; 0: they are not
  /// The rows of dtbc.
  std::size_t rows() const { return rank + 2 * state; }
};

/// Every token has a row for every block besides its embedding: transformers, Gemma4TextModel of modeling_gemma4.py.
/// The rows come from a table (tokens, blocks * size) and from a projection of the token's embedding.
struct BlockEmbedding {
  std::size_t size = 0;    ///< of a row; 0: there are none
  std::size_t tokens = 0;  ///< of the table
};

/// A row of a table is added to a token's embedding by where the token stands: transformers, modeling_gpt2.py and
/// modeling_opt.py.
struct LearnedPositions {
  std::size_t positions = 0;  ///< how many there are; 0: the model has no such table
  std::size_t first = 0;      ///< the row of the first one
  std::size_t rows() const { return first + positions; }
};

/// What makes the gates whose sigmoid or softplus multiplies what attention puts out.
enum class OutputGate {
  none,
  in_q,   ///< q, behind every head
  apart,  ///< a linear of its own (Role::out_gate): as many rows as q, or one a head (Architecture::gate_by_head)
};

/// How one block attends.
struct BlockAttention {
  Mixer mixer = Mixer::attention;
  std::size_t window = 0;                             ///< how many keys a token sees; 0: all
  std::size_t chunk = 0;                              ///< a token sees no keys before the last multiple of this; 0: all
  std::size_t rope = 0;                               ///< index into Architecture::ropes, or kNoRope
  bool scales_query = false;                          ///< Architecture::query_scale acts
  std::size_t head_dim = 0, heads = 0, kv_heads = 0;  ///< 0: the Architecture's
  bool k_is_v = false;  ///< there is no v: values are what k puts out, before its norm and the rotary embedding
  std::size_t keys_of = kOwnKeys;      ///< the earlier block whose keys and values are read; k and v are not there then
  std::size_t shared_at = kNotShared;  ///< where keys, then values stand in a token's share (Architecture::shared_size)
};

/// A factor of q that grows with its position p: 1 + beta ln(1 + floor((p + first) / length)). transformers:
/// modeling_ministral3.py (get_llama_4_attn_scale), modeling_llama4.py (attn_temperature_tuning).
struct QueryScale {
  double beta = 0.0, length = 1.0, first = 0.0;
};

}  // namespace strata::model
