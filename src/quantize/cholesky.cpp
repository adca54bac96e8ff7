// Cholesky from the last column on, right-looking: a panel of rows is solved with its triangle, and what it explains is
// taken from all before it as a sum of outer products, which needs no transposition. The triangle of a panel is made
// the same way of leaves, whose factors and inverses are computed in double.
#include "quantize/cholesky.h"

#include <algorithm>
#include <cmath>

#include "core/threads.h"
#include "kernel/dispatch.h"
#include "kernel/small_products.h"

namespace strata::quantize {
namespace {

constexpr std::size_t kPanelRows = 128;   // a multiple of kLeafRows
constexpr std::size_t kLeafRows = 32;     // as wide as a tile of most variants
constexpr std::size_t kSolvedCols = 256;  // of a panel that a thread solves together

using kernel::Operand;
using kernel::Update;

/// c (m, n) = or += a b, rows c_stride floats apart.
void multiply(const Operand& a, const Operand& b, std::size_t m, std::size_t n, std::size_t k, float* c,
              std::size_t c_stride, Update update) {
  kernel::multiply_small(kernel::selected_variant().f32, a, b, m, n, k, c, c_stride, update);
}

/// A triangle of at most kLeafRows rows, in double.
struct Leaf {
  double at[kLeafRows][kLeafRows] = {};
};

Leaf load_leaf(const float* a, std::size_t stride, std::size_t size) {
  Leaf leaf;
  for (std::size_t r = 0; r < size; ++r)
    for (std::size_t c = 0; c <= r; ++c) leaf.at[r][c] = static_cast<double>(a[r * stride + c]);
  return leaf;
}

bool factor_leaf(Leaf& leaf, std::size_t size) {
  for (std::size_t k = size; k-- > 0;) {
    double* const row = leaf.at[k];
    if (!(row[k] > 0.0) || !std::isfinite(row[k])) return false;
    const double root = std::sqrt(row[k]);
    for (std::size_t i = 0; i <= k; ++i) row[i] /= root;
    for (std::size_t r = 0; r < k; ++r)
      for (std::size_t c = 0; c <= r; ++c) leaf.at[r][c] -= row[r] * row[c];
  }
  return true;
}

/// The inverse into out (size, size), rows out_stride floats apart, whose upper part becomes 0.
void invert_leaf(const Leaf& leaf, std::size_t size, float* out, std::size_t out_stride) {
  Leaf inverse;
  for (std::size_t r = 0; r < size; ++r) {
    double* const row = inverse.at[r];
    for (std::size_t k = 0; k < r; ++k)
      for (std::size_t c = 0; c <= k; ++c) row[c] -= leaf.at[r][k] * inverse.at[k][c];
    for (std::size_t c = 0; c < r; ++c) row[c] /= leaf.at[r][r];
    row[r] = 1.0 / leaf.at[r][r];
    for (std::size_t c = 0; c < size; ++c) out[r * out_stride + c] = static_cast<float>(row[c]);
  }
}

/// The factor of a panel's triangle as the rest of the panel needs it.
struct PanelFactor {
  std::size_t size;
  std::vector<float> minus;     ///< (size, size): -L
  std::vector<float> inverses;  ///< of the leaves on the diagonal, (kLeafRows, kLeafRows) each

  explicit PanelFactor(std::size_t rows)
      : size(rows), minus(rows * rows), inverses((rows + kLeafRows - 1) / kLeafRows * kLeafRows * kLeafRows) {}
  std::size_t leaves() const { return (size + kLeafRows - 1) / kLeafRows; }
  std::size_t leaf_rows(std::size_t leaf) const { return std::min(kLeafRows, size - leaf * kLeafRows); }
  /// out (leaf_rows, cols) = the transposed inverse of a leaf times b.
  void solve_leaf(std::size_t leaf, const Operand& b, std::size_t cols, float* out) const {
    const std::size_t rows = leaf_rows(leaf);
    multiply({inverses.data() + leaf * kLeafRows * kLeafRows, kLeafRows, true}, b, rows, cols, rows, out, cols,
             Update::store);
  }
};

/// Factors the triangle a (size, size) in place. False when it is not positive definite.
bool factor_panel(float* a, std::size_t stride, PanelFactor& factor) {
  std::vector<float> solved(kLeafRows * factor.size);
  for (std::size_t leaf = factor.leaves(); leaf-- > 0;) {
    const std::size_t begin = leaf * kLeafRows, rows = factor.leaf_rows(leaf);
    float* const corner = a + begin * stride + begin;
    Leaf triangle = load_leaf(corner, stride, rows);
    if (!factor_leaf(triangle, rows)) return false;
    invert_leaf(triangle, rows, factor.inverses.data() + leaf * kLeafRows * kLeafRows, kLeafRows);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c <= r; ++c) corner[r * stride + c] = static_cast<float>(triangle.at[r][c]);
    if (begin > 0) factor.solve_leaf(leaf, {a + begin * stride, stride}, begin, solved.data());
    for (std::size_t r = 0; r < rows; ++r) {
      float* const minus = factor.minus.data() + (begin + r) * factor.size;
      for (std::size_t c = 0; c < begin; ++c) {
        a[(begin + r) * stride + c] = solved[r * begin + c];
        minus[c] = -solved[r * begin + c];
      }
    }
    if (begin > 0)
      multiply({factor.minus.data() + begin * factor.size, factor.size, true}, {solved.data(), begin}, begin, begin,
               rows, a, stride, Update::add);
  }
  return true;
}

/// The columns before a panel's triangle become L^-T times them; `panel` is its first row.
void solve_panel(const PanelFactor& factor, float* panel, std::size_t stride, std::size_t cols) {
  parallel_for((cols + kSolvedCols - 1) / kSolvedCols, [&](std::size_t item) {
    const std::size_t first = item * kSolvedCols, width = std::min(kSolvedCols, cols - first);
    thread_local std::vector<float> rest, solved;
    rest.resize(factor.size * width);
    solved.resize(kLeafRows * width);
    for (std::size_t r = 0; r < factor.size; ++r)
      std::copy_n(panel + r * stride + first, width, rest.data() + r * width);
    for (std::size_t leaf = factor.leaves(); leaf-- > 0;) {
      const std::size_t begin = leaf * kLeafRows, rows = factor.leaf_rows(leaf);
      factor.solve_leaf(leaf, {rest.data() + begin * width, width}, width, solved.data());
      for (std::size_t r = 0; r < rows; ++r)
        std::copy_n(solved.data() + r * width, width, panel + (begin + r) * stride + first);
      if (begin > 0)
        multiply({factor.minus.data() + begin * factor.size, factor.size, true}, {solved.data(), width}, begin, width,
                 rows, rest.data(), width, Update::add);
    }
  });
}

/// Inverts into out, both rows of their own stride: of the halves [A 0; B C] the inverse is [A' 0; -C' B A', C'].
void invert(const float* lower, std::size_t stride, std::size_t size, float* out, std::size_t out_stride) {
  if (size <= kLeafRows) return invert_leaf(load_leaf(lower, stride, size), size, out, out_stride);
  const std::size_t half = (size / 2 + kLeafRows - 1) / kLeafRows * kLeafRows, rest = size - half;
  float* const below = out + half * out_stride;
  invert(lower, stride, half, out, out_stride);
  invert(lower + half * stride + half, stride, rest, below + half, out_stride);
  std::vector<float> minus(rest * half), product(rest * half);
  for (std::size_t r = 0; r < rest; ++r)
    for (std::size_t c = 0; c < half; ++c) minus[r * half + c] = -lower[(half + r) * stride + c];
  multiply({minus.data(), half}, {out, out_stride}, rest, half, half, product.data(), half, Update::store);
  multiply({below + half, out_stride}, {product.data(), half}, rest, half, rest, below, out_stride, Update::store);
}

}  // namespace

bool factor_from_last(float* a, std::size_t n) {
  for (std::size_t end = n; end > 0;) {
    const std::size_t begin = (end - 1) / kPanelRows * kPanelRows, size = end - begin;
    float* const panel = a + begin * n;
    PanelFactor factor(size);
    if (!factor_panel(panel + begin, n, factor)) return false;
    if (begin > 0) {
      solve_panel(factor, panel, n, begin);
      const kernel::TokenRows rows{panel, begin, n};
      kernel::add_outer_products(rows, rows, size, a, n, kernel::Part::lower, kernel::Sign::minus,
                                 kernel::Precision::f32);
    }
    end = begin;
  }
  return true;
}

std::vector<float> inverse_of_lower(const float* lower, std::size_t stride, std::size_t size) {
  std::vector<float> out(size * size, 0.0f);
  invert(lower, stride, size, out.data(), size);
  return out;
}

}  // namespace strata::quantize
