// What stands before a block's feed-forward part, as data: attention of some kind, its window, its rotary embedding.
#pragma once
#include <cstddef>

namespace strata::model {

inline constexpr std::size_t kNoRope = static_cast<std::size_t>(-1);  ///< in place of an index into ropes

/// What stands before a block's feed-forward part.
enum class Mixer {
  attention,
  latent,       ///< attention whose keys and values are made from one narrow row a token (Latent)
  delta,        ///< a gated delta net (DeltaNet)
  convolution,  ///< a gated convolution over a few tokens (ShortConvolution)
};

/// Multi-head latent attention: arXiv 2405.04434, section 2.1; transformers: modeling_deepseek_v3.py. A head of q and k
/// has `plain` dimensions and then `turned` ones, which the rotary embedding acts on; the turned ones of k are the same
/// for all heads. kv_a gives kv_rank values and the turned ones of k; kv_b makes the plain ones of k and v of them.
struct Latent {
  std::size_t q_rank = 0;   ///< values between q_a and q_b; 0: q is one matrix
  std::size_t kv_rank = 0;  ///< values between kv_a and kv_b; 0: no block has latent attention
  std::size_t plain = 0, turned = 0, value = 0;
  float norm_epsilon = 1e-6f;  ///< of the norms of the latents
};

/// A gated delta net: arXiv 2412.06464; transformers: modeling_qwen3_next.py, modeling_qwen3_5.py. Its keys and values
/// go through a convolution over time; a head of values has a state (key_size, value_size) in place of a cache.
struct DeltaNet {
  std::size_t key_heads = 0, value_heads = 0, key_size = 0, value_size = 0;
  std::size_t kernel = 0;     ///< tokens that the convolution sees
  bool by_key_heads = false;  ///< files hold q, k, v and z of a key head together, and b and a of one
  bool tiled = false;         ///< heads of values that read one head of keys are key_heads apart, not neighbours
  /// The channels of the convolution: q, k and v of all heads.
  std::size_t channels() const { return 2 * key_heads * key_size + values(); }
  /// The values of all heads.
  std::size_t values() const { return value_heads * value_size; }
};

/// A gated short convolution: transformers, Lfm2ShortConv of modeling_lfm2.py. in_bcx gives b, c and x, (hidden) each;
/// o reads c times the convolution over time of b times x.
struct ShortConvolution {
  std::size_t kernel = 0;  ///< tokens that it sees
  bool bias = false;       ///< in_bcx, o and the convolution have one
};

/// How one block attends.
struct BlockAttention {
  Mixer mixer = Mixer::attention;
  std::size_t window = 0;     ///< how many keys a token sees; 0: all
  std::size_t chunk = 0;      ///< a token sees no keys before the last multiple of this; 0: all
  std::size_t rope = 0;       ///< index into Architecture::ropes, or kNoRope
  bool scales_query = false;  ///< Architecture::query_scale acts
};

/// A factor of q that grows with its position p: 1 + beta ln(1 + floor((p + first) / length)). transformers:
/// modeling_ministral3.py (get_llama_4_attn_scale), modeling_llama4.py (attn_temperature_tuning).
struct QueryScale {
  double beta = 0.0, length = 1.0, first = 0.0;
};

}  // namespace strata::model
