// The scan of Mamba-2 (state space duality): a state per head that forgets by its step and takes in every token. In
// f32, on all threads; results do not depend on their number. transformers: mamba2_chunk_scan and
// mamba2_selective_state_update of modeling_mamba2.py, modeling_granitemoehybrid.py, modeling_nemotron_h.py; chunks as
// products: Dao and Gu, "Transformers are SSMs" (arXiv 2405.21060).
#pragma once
#include <cstddef>
#include <limits>
#include <span>

namespace strata::kernel {

/// The sizes and weights of a scan, the same for all tokens.
struct StateSpaceWeights {
  std::size_t heads, groups, head_dim, state_dim;  ///< head h reads group h / (heads / groups) of b and c
  const float* a;                                  ///< (heads): -exp(A_log)
  const float* skip;                               ///< (heads): D, what of x goes straight out; null: nothing
  const float* dt_bias;                            ///< (heads), or null
  float least_dt = 0.0f, most_dt = std::numeric_limits<float>::infinity();
};

/// One sequence. With step = clamp(softplus(dt[t, h] + dt_bias[h]), least_dt, most_dt), every head holds a state S
/// (head_dim, state_dim), and token t makes of it, in this order:
///   S = exp(a step) S + step x b^T;  out = S c + skip x.
/// x: (tokens, heads * head_dim); b, c: (tokens, groups * state_dim); rows of all three `stride` floats apart. dt:
/// (tokens, heads), rows dt_stride apart. out: (tokens, heads * head_dim), rows out_stride apart.
/// state: (heads, head_dim, state_dim), S before this call and, once it is done, after; null: 0 before, and nothing is
/// kept. transformers limits steps in whole sequences only; here a single token is limited, too.
struct StateSpace {
  const float *x, *b, *c;
  std::size_t stride;
  const float* dt;
  std::size_t dt_stride;
  float* state;
  float* out;
  std::size_t out_stride;
  std::size_t tokens;
};
/// All sequences of a batch, in parallel over sequences and runs of heads: few tokens one by one, more of them in
/// chunks of 64 as matrix products.
void state_space(const StateSpaceWeights& weights, std::span<const StateSpace> sequences);

/// The gradients of state_space over one whole sequence that begins without a state. dout: (tokens, heads * head_dim),
/// dense; dx, db, dc: like x, b, c; ddt: like dt. The weights get none. Memory: a state for every 64 tokens, a thread,
/// and 2 x tokens x state_dim floats for every 8 heads.
struct StateSpaceGradient {
  const float *x, *b, *c;
  std::size_t stride;
  const float* dt;
  std::size_t dt_stride;
  const float* dout;
  float *dx, *db, *dc, *ddt;
  std::size_t tokens;
};
/// In parallel over sequences and runs of heads.
void state_space_gradient(const StateSpaceWeights& weights, std::span<const StateSpaceGradient> sequences);

}  // namespace strata::kernel
