// The operations of a transformer block that are not products with weights: norm, rotary embedding, activation,
// attention. All in f32; each runs on all threads where the work is worth it.
#pragma once
#include <cstddef>
#include <span>

#include "core/numbers.h"

namespace strata::kernel {

/// y[t, i] = x[t, i] / sqrt(mean_i x[t, i]^2 + epsilon) * weight[i]. x, y: (tokens, size), dense; y may be x.
void rms_norm(const float* x, const float* weight, std::size_t tokens, std::size_t size, float epsilon, float* y);
/// y[t, i] = x[t, i] / sqrt(mean_i x[t, i]^2 + epsilon): rms_norm without weights. x, y: (rows, size), dense; y may be
/// x.
void l2_norm(const float* x, std::size_t rows, std::size_t size, float epsilon, float* y);
/// y[t, i] = (x[t, i] - m) / sqrt(v + epsilon) * weight[i], m and v the mean and the (biased) variance of row t. x, y:
/// (tokens, size), dense; y may be x.
void layer_norm(const float* x, const float* weight, std::size_t tokens, std::size_t size, float epsilon, float* y);

/// Rotates pairs (i, i + half) of every head: the Hugging Face ("rotate half") order. x: (tokens, heads * head_dim)
/// with rows `stride` floats apart; cos, sin: (tokens, half), half <= head_dim / 2; the rest of a head is untouched.
void rope(float* x, std::size_t stride, std::size_t tokens, std::size_t heads, std::size_t head_dim, const float* cos,
          const float* sin, std::size_t half);
/// Rotates pairs (2 i, 2 i + 1) of every head, i < half: the order of GPT-J. Arguments as of rope.
void rope_interleaved(float* x, std::size_t stride, std::size_t tokens, std::size_t heads, std::size_t head_dim,
                      const float* cos, const float* sin, std::size_t half);

/// gate[i] = silu(gate[i]) * up[i], silu(z) = z / (1 + exp(-z)).
void silu_multiply(float* gate, const float* up, std::size_t count);
/// gate[i] = gelu_tanh(gate[i]) * up[i].
void gelu_multiply(float* gate, const float* up, std::size_t count);
/// gate[i] = gelu(gate[i]) * up[i], gelu(z) = z (1 + erf(z / sqrt(2))) / 2, off by at most 3e-7 |z up|.
void gelu_erf_multiply(float* gate, const float* up, std::size_t count);
/// gate[i] = g / (1 + exp(-alpha g)) * (clamp(up[i], -limit, limit) + 1), g = min(gate[i], limit).
void clamped_swiglu_multiply(float* gate, const float* up, std::size_t count, float limit, float alpha);

/// y += x.
void add(float* y, const float* x, std::size_t count);
/// Adds bias (size) to every row of y (tokens, size).
void add_bias(float* y, const float* bias, std::size_t tokens, std::size_t size);
/// x[i] = min(max(x[i], -limit), limit), limit >= 0; NaN stays.
void clamp(float* x, std::size_t count, float limit);
/// Multiplies row t of x by factors[t]. x: (rows, size), rows `stride` floats apart; factors: (rows).
void scale_rows(float* x, std::size_t stride, std::size_t rows, std::size_t size, const float* factors);

/// The first key that the token at `position` sees: of the last `window` ones (0: all) and from the start of its own
/// `chunk` of positions on (0: all), whichever is later.
std::size_t first_key(std::size_t position, std::size_t window, std::size_t chunk);

/// Causal grouped-query attention of one sequence. q: (tokens, heads * head_dim), rows q_stride apart, at positions
/// first_position ...; k: (first_position + tokens, kv_heads * head_dim), rows kv_stride apart; v like k with heads of
/// v_dim and rows v_stride apart; out: (tokens, heads * v_dim), rows out_stride apart. Token t sees keys first_key(p,
/// window, chunk) .. p, p = first_position + t. Scores are scaled by `scale`; softmax and sums in f32.
struct Attention {
  const float* q;
  std::size_t q_stride;
  const float* k;
  const float* v;
  std::size_t kv_stride;
  float* out;
  std::size_t out_stride;
  std::size_t tokens, first_position, heads, kv_heads, head_dim, window;
  float scale;
  float softcap = 0.0f;          ///< scores s, once scaled, become softcap tanh(s / softcap); 0: they stay
  const float* sinks = nullptr;  ///< (heads): a score each that counts in the softmax and has no value; null: none
  std::size_t chunk = 0;
  std::size_t v_dim = 0;     ///< of a head of values; 0: head_dim
  std::size_t v_stride = 0;  ///< 0: kv_stride
  /// (heads): a scaled score falls by this for every token between the key and its reader; null: it does not.
  const float* slopes = nullptr;
  /// In place of k and v, both or neither: (kv_heads, short_capacity, head_dim) and (kv_heads, short_capacity, v_dim),
  /// multiplied as they are, in f32. kv_stride and v_stride are not read.
  const bf16* short_k = nullptr;
  const bf16* short_v = nullptr;
  std::size_t short_capacity = 0;  ///< positions that there is room for, at least those that are read

  std::size_t value_dim() const { return v_dim == 0 ? head_dim : v_dim; }
  std::size_t value_stride() const { return v_stride == 0 ? kv_stride : v_stride; }
};
/// Attention of all sequences of a batch, in parallel over sequences, heads and stretches of tokens.
void attention(std::span<const Attention> sequences);

/// log(sum_i exp(x[i])), in double. size > 0.
double log_sum_exp(const float* x, std::size_t size);

}  // namespace strata::kernel
