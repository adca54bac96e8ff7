// Sums over tokens of products of what two sites put out: second moments, what a gradient gives a weight, and what a
// block of a factorization takes from the rest.
#pragma once
#include <cstddef>

#include "kernel/matmul.h"

namespace strata::kernel {

enum class Part {
  all,
  lower,  ///< elements (r, c) with c <= r; what the others become is unspecified
};
enum class Sign { plus, minus };

/// `size` columns of rows that lie `stride` floats apart, one a token.
struct TokenRows {
  const float* data;
  std::size_t size, stride;
};

/// sums[r, c] += sum over t of a[t, r] * b[t, c], or -= that, for r < a.size and c < b.size; rows of sums lie
/// sums_stride floats apart and overlap neither operand. Minus: in f32 only. Runs on all threads; the result does not
/// depend on their number, but on how tokens are cut into calls. Memory: about 768 tokens of both operands at the
/// precision.
void add_outer_products(const TokenRows& a, const TokenRows& b, std::size_t tokens, float* sums,
                        std::size_t sums_stride, Part part, Sign sign, Precision precision);
/// The same with a (tokens, rows), b (tokens, cols) and sums (rows, cols) dense, and added.
void add_outer_products(const float* a, std::size_t rows, const float* b, std::size_t cols, std::size_t tokens,
                        float* sums, Part part, Precision precision);

}  // namespace strata::kernel
