// Products of small f32 matrices on one thread, in either orientation, over the register tiles of matmul: what the
// scans over chunks of tokens (delta_rule.h, state_space.h) are made of.
#pragma once
#include <cstddef>

#include "kernel/variant.h"

namespace strata::kernel {

/// A matrix somewhere in memory: element (i, j) at data[i * stride + j], or at data[j * stride + i] where it is turned.
struct Operand {
  const float* data;
  std::size_t stride;
  bool turned = false;
};

/// c (m, n), rows c_stride floats apart, = or += a (m, k) b (k, n), on the calling thread. c overlaps neither. Sums run
/// over rising k. kernel: one of f32.
void multiply_small(const MatmulKernel& kernel, const Operand& a, const Operand& b, std::size_t m, std::size_t n,
                    std::size_t k, float* c, std::size_t c_stride, Update update);

}  // namespace strata::kernel
