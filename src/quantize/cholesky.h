// The factorization under error feedback and the correction, and inverses of the triangles that it leaves: in f32, by
// products of blocks.
#pragma once
#include <cstddef>
#include <vector>

namespace strata::quantize {

/// The lower triangular L with L^T L = a, in place of the lower triangle of a (n, n), which is all that is read; what
/// is above the diagonal is unspecified afterwards. False when `a` is not positive definite, or not finite. Runs on all
/// threads; their number changes nothing.
bool factor_from_last(float* a, std::size_t n);

/// The inverse of a lower triangle (size, size) whose rows are `stride` floats apart: (size, size), 0 above the
/// diagonal. The diagonal must have no 0. Runs on the calling thread.
std::vector<float> inverse_of_lower(const float* lower, std::size_t stride, std::size_t size);

}  // namespace strata::quantize
