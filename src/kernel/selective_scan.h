// The selective scan of Mamba-1: every channel has a state, each value of which forgets at a rate of its own and takes
// in every token. In f32, on all threads; results do not depend on their number. arXiv 2312.00752, section 3;
// transformers: mamba_selective_scan and mamba_selective_state_update of modeling_mamba.py.
#pragma once
#include <cstddef>
#include <span>

namespace strata::kernel {

/// The sizes and weights of a scan, the same for all tokens.
struct SelectiveScanWeights {
  std::size_t channels, state_dim;
  const float* a;     ///< (state_dim, channels): -exp(A_log), whose rows are the columns of A_log
  const float* skip;  ///< (channels): D, what of x goes straight out
};

/// One sequence. Channel i holds a state S (state_dim), of which token t makes, for every n and in this order:
///   S[n] = exp(dt[t, i] a[n, i]) S[n] + dt[t, i] x[t, i] b[t, n];  out[t, i] = skip[i] x[t, i] + sum_n S[n] c[t, n].
/// x, dt, out: (tokens, channels), dense, out none of the others; b, c: (tokens, state_dim), rows `stride` floats
/// apart. state: (state_dim, channels), S before this call and, once it is done, after; null: 0 before, and nothing is
/// kept.
struct SelectiveScan {
  const float *x, *dt, *b, *c;
  std::size_t stride;
  float* state;
  float* out;
  std::size_t tokens;
};
/// All sequences of a batch, in parallel over sequences and runs of channels.
void selective_scan(const SelectiveScanWeights& weights, std::span<const SelectiveScan> sequences);

/// The gradients of selective_scan over one whole sequence that begins without a state. dout: like out. dx, ddt: like x
/// and dt; db, dc: like b and c. The weights get none. Memory: the states of all tokens for 128 channels, a thread, and
/// 2 x tokens x state_dim floats for every 128 channels.
struct SelectiveScanGradient {
  const float *x, *dt, *b, *c;
  std::size_t stride;
  const float* dout;
  float *dx, *ddt, *db, *dc;
  std::size_t tokens;
};
/// In parallel over sequences and runs of channels.
void selective_scan_gradient(const SelectiveScanWeights& weights, std::span<const SelectiveScanGradient> sequences);

}  // namespace strata::kernel
