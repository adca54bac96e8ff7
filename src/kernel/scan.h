// What scans in chunks have in common (delta_rule.h, state_space.h): how much of a state that forgets is left between
// any two tokens of a chunk.
#pragma once
#include <cstddef>

#include "kernel/variant.h"

namespace strata::kernel {

inline constexpr std::size_t kChunkTokens = 64;

/// With c[i] the sum of the logarithms 0 .. i of a chunk of n tokens, none of them above 0.
struct ChunkDecays {
  float from_start[kChunkTokens];            ///< exp(c[i])
  float to_end[kChunkTokens];                ///< exp(c[n - 1] - c[i])
  float pairs[kChunkTokens * kChunkTokens];  ///< (n, n), dense: exp(c[i] - c[j]) for j <= i; the rest is unspecified

  /// From logarithms `stride` floats apart. Sums in double: their differences lose nothing to long chunks.
  void fill(const RowKernel& rows, const float* logarithms, std::size_t stride, std::size_t n);
};

}  // namespace strata::kernel
