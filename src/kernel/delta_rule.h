// The gated delta rule: attention's place in gated delta nets (Qwen3-Next, Qwen3.5), a state per head that forgets and
// is corrected by every token. In f32, on all threads; results do not depend on their number.
// transformers: torch_chunk_gated_delta_rule and torch_recurrent_gated_delta_rule of modeling_qwen3_next.py; chunks as
// products: Yang et al., "Gated Delta Networks" (arXiv 2412.06464).
#pragma once
#include <cstddef>
#include <span>

namespace strata::kernel {

/// One sequence. With k' = k / sqrt(|k|^2 + 1e-6) and q' = q / sqrt(|q|^2 + 1e-6) / sqrt(k_dim), every head of values
/// holds a state S (k_dim, v_dim), and token t makes of it, in this order:
///   S *= exp(decay[t]);  S += k' (beta[t] (v - k'^T S))^T;  out = q'^T S.
/// q, k: (tokens, k_heads * k_dim); v: (tokens, v_heads * v_dim); rows of all three `stride` floats apart. Head h of
/// the values reads head k_head_of(h) of the keys. decay (logarithms, at most 0) and beta: (tokens, v_heads), dense.
/// out: (tokens, v_heads * v_dim), rows out_stride apart. state: (v_heads, k_dim, v_dim), S before this call and, once
/// it is done, after; null: 0 before, and nothing is kept.
struct DeltaRule {
  const float *q, *k, *v;
  std::size_t stride;
  const float *decay, *beta;
  float* state;
  float* out;
  std::size_t out_stride;
  std::size_t tokens, k_heads, v_heads, k_dim, v_dim;
  bool tiled = false;  ///< heads of values that share one of the keys are k_heads apart, not neighbours

  std::size_t k_head_of(std::size_t v_head) const { return tiled ? v_head % k_heads : v_head / (v_heads / k_heads); }
};
/// All sequences of a batch, in parallel over sequences and heads of values: few tokens one by one, more of them in
/// chunks of 64 as matrix products. Memory: about 4 * 64 * (k_dim + v_dim) floats a thread.
void delta_rule(std::span<const DeltaRule> sequences);

/// The gradients of delta_rule over one whole sequence that begins without a state. dout: (tokens, v_heads * v_dim),
/// dense; dq, dk, dv: like q, k, v; ddecay, dbeta: like decay, beta. The states are computed again: memory is
/// k_dim * v_dim floats for every 64 tokens, a thread.
struct DeltaRuleGradient {
  const float *q, *k, *v;
  std::size_t stride;
  const float *decay, *beta;
  const float* dout;
  float *dq, *dk, *dv;
  float *ddecay, *dbeta;
  std::size_t tokens, k_heads, v_heads, k_dim, v_dim;
  bool tiled = false;  ///< as in DeltaRule

  std::size_t k_head_of(std::size_t v_head) const { return tiled ? v_head % k_heads : v_head / (v_heads / k_heads); }
};
/// In parallel over sequences and heads of keys.
void delta_rule_gradient(std::span<const DeltaRuleGradient> sequences);

}  // namespace strata::kernel
