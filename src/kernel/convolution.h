// Causal convolution over time of every channel by itself: what comes before the scans of gated delta nets and Mamba-2,
// and the mixer of LFM2. In f32, on all threads; results do not depend on their number.
// transformers: causal_conv1d_fn and causal_conv1d_update of modeling_qwen3_next.py, Lfm2ShortConv of modeling_lfm2.py.
#pragma once
#include <cstddef>
#include <span>

namespace strata::kernel {

/// One sequence. With z[t, c] = bias[c] + sum over j < kernel of weight[c, j] x[t + j - (kernel - 1), c]:
/// out[t, c] = z[t, c], or silu of it. x, out: (tokens, channels), rows x_stride and out_stride floats apart, no
/// overlap; weight: (channels, kernel); bias: (channels), or null for none. state: (kernel - 1, channels), the last
/// rows of x before this call, which become those before the next one; null: rows of 0 come before, and nothing is
/// kept.
struct Convolution {
  const float* x;
  std::size_t x_stride;
  const float* weight;
  const float* bias;
  float* state;
  float* out;
  std::size_t out_stride;
  std::size_t tokens, channels, kernel;
  bool silu;
};
/// All sequences of a batch, one token or many, in parallel over sequences and channels. A state's tokens may come in
/// any number of calls: the results are the same bits.
void convolution(std::span<const Convolution> sequences);

/// The gradient of convolution by x, over one whole sequence that begins without a state: dx (tokens, channels), rows
/// dx_stride floats apart, from dout; the rest as above. dx may be dout.
struct ConvolutionGradient {
  const float* x;
  std::size_t x_stride;
  const float* weight;
  const float* bias;
  const float* dout;
  std::size_t dout_stride;
  float* dx;
  std::size_t dx_stride;
  std::size_t tokens, channels, kernel;
  bool silu;
};
void convolution_gradient(std::span<const ConvolutionGradient> sequences);

}  // namespace strata::kernel
