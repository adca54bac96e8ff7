// Sums over tokens of products of what two sites put out: second moments, and what a gradient gives a weight.
#pragma once
#include <cstddef>

#include "kernel/matmul.h"

namespace strata::kernel {

enum class Part {
  all,
  lower,  ///< elements (r, c) with c <= r; what the others become is unspecified
};

/// sums[r, c] += sum over t of a[t, r] * b[t, c]; a (tokens, rows), b (tokens, cols) and sums (rows, cols) are dense.
/// Runs on all threads; the result does not depend on their number, but on how tokens are cut into calls.
/// Memory: about 768 tokens of both operands at the precision.
void add_outer_products(const float* a, std::size_t rows, const float* b, std::size_t cols, std::size_t tokens,
                        float* sums, Part part, Precision precision);

}  // namespace strata::kernel
