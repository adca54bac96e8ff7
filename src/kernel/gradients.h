// Gradients of the operations in ops.h, and the transposition that products of gradients need.
// All in f32, on all threads; results do not depend on their number. Names: dy is the gradient of a loss by y.
#pragma once
#include <cstddef>
#include <span>

#include "kernel/matmul.h"

namespace strata::kernel {

/// out (cols, rows) = in (rows, cols)^T; rows of `in` are in_stride floats apart.
void transpose(const float* in, std::size_t in_stride, std::size_t rows, std::size_t cols, float* out);

/// The gradient of rms_norm by x, given x, weight and dy: dx[t, j] = r weight[j] dy[t, j] - r^3 x[t, j] / size * sum_i
/// weight[i] dy[t, i] x[t, i], r = 1 / sqrt(mean x^2 + epsilon). x, dy, dx: (tokens, size), dense; dx may be dy.
void rms_norm_gradient(const float* x, const float* weight, const float* dy, std::size_t tokens, std::size_t size,
                       float epsilon, float* dx);

/// The gradient of rms_norm by its weight, added: dweight[j] += sum over t of r dy[t, j] x[t, j], r as above; dweight:
/// (size).
void rms_norm_weight_gradient(const float* x, const float* dy, std::size_t tokens, std::size_t size, float epsilon,
                              float* dweight);

/// The gradient of l2_norm by x: that of rms_norm with weights of 1. x, dy, dx: (rows, size), dense; dx may be dy.
void l2_norm_gradient(const float* x, const float* dy, std::size_t rows, std::size_t size, float epsilon, float* dx);

/// The gradient of layer_norm by x, given x, weight and dy: dx[t, j] = r (g[j] - mean g - n[j] mean (g n)), g = weight
/// dy[t], n = r (x[t] - mean x[t]), r = 1 / sqrt(variance of x[t] + epsilon). x, dy, dx: (tokens, size), dense; dx may
/// be dy.
void layer_norm_gradient(const float* x, const float* weight, const float* dy, std::size_t tokens, std::size_t size,
                         float epsilon, float* dx);
/// The gradient of layer_norm by its weight, added: dweight[j] += sum over t of dy[t, j] n[t, j], n as above; dweight:
/// (size).
void layer_norm_weight_gradient(const float* x, const float* dy, std::size_t tokens, std::size_t size, float epsilon,
                                float* dweight);

/// The gradient of rope by its input, which is the rotation back. dx: (tokens, heads * head_dim), dense, in place; the
/// rest as rope.
void rope_gradient(float* dx, std::size_t tokens, std::size_t heads, std::size_t head_dim, const float* cos,
                   const float* sin, std::size_t half);
void rope_interleaved_gradient(float* dx, std::size_t tokens, std::size_t heads, std::size_t head_dim, const float* cos,
                               const float* sin, std::size_t half);

/// The gradients of y = act(gate) * up, with act silu, gelu_tanh or gelu: gate and up become their own gradients; dy:
/// (count).
void silu_multiply_gradient(float* gate, float* up, const float* dy, std::size_t count);
void gelu_multiply_gradient(float* gate, float* up, const float* dy, std::size_t count);
void gelu_erf_multiply_gradient(float* gate, float* up, const float* dy, std::size_t count);
/// The gradients of clamped_swiglu_multiply, as above; 0 where a value lies beyond its limit.
void clamped_swiglu_multiply_gradient(float* gate, float* up, const float* dy, std::size_t count, float limit,
                                      float alpha);

/// The gradient of clamp by its input x: dx becomes 0 where |x| > limit and stays elsewhere. x, dx: (count).
void clamp_gradient(const float* x, std::size_t count, float limit, float* dx);

/// The gradients of attention over one whole sequence (first_position 0). q, dq: (tokens, heads * head_dim); k, dk:
/// (tokens, kv_heads * head_dim); dout: (tokens, heads * v_dim); v, dv: (tokens, kv_heads * v_dim); all dense. The
/// probabilities are computed again, a stretch of queries at a
/// time: memory is 5 x stretch x tokens floats a thread, 6 under a softcap. Softcap, sinks and chunk are those of
/// Attention; the sinks get no gradient.
struct AttentionGradient {
  const float *q, *k, *v, *dout;
  float *dq, *dk, *dv;
  std::size_t tokens, heads, kv_heads, head_dim, window;
  float scale;
  float softcap = 0.0f;
  const float* sinks = nullptr;
  std::size_t chunk = 0;
  std::size_t v_dim = 0;  ///< of a head of values; 0: head_dim
  const float* slopes = nullptr;

  std::size_t value_dim() const { return v_dim == 0 ? head_dim : v_dim; }
};
/// Computes the gradients of all sequences, in parallel over sequences and key-value heads. Products at `precision`.
void attention_gradient(std::span<const AttentionGradient> sequences, Precision precision);

}  // namespace strata::kernel
