// The convolution over time that delta nets, short convolutions, Mamba-1 and Mamba-2 make of a batch's rows, for both
// passes.
#pragma once
#include <cstddef>

#include "engine/batch.h"

namespace strata::engine {

struct TimeConvolution {
  std::size_t block;    ///< the caches of this block hold the rows before
  const float* weight;  ///< (channels, kernel)
  const float* bias;    ///< (channels), or null
  std::size_t channels, kernel;
  bool silu;  ///< of what the convolution gives
};

/// x, out: (batch.tokens, channels), rows x_stride and out_stride floats apart, no overlap. Every sequence by itself:
/// one with a cache goes on from the rows that Cache::keys of the block hold, and leaves its last ones there.
void convolve(const Batch& batch, const TimeConvolution& convolution, const float* x, std::size_t x_stride, float* out,
              std::size_t out_stride);

/// The gradient by x of whole sequences without caches: dx from dout, rows dx_stride and dout_stride floats apart. dx
/// may be dout.
void convolve_gradient(const Batch& batch, const TimeConvolution& convolution, const float* x, std::size_t x_stride,
                       const float* dout, std::size_t dout_stride, float* dx, std::size_t dx_stride);

}  // namespace strata::engine
