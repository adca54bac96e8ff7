// Products by kernel::matmul; the inverse by two triangular solves with the factors that error feedback uses.
#include "quantize/drift.h"

#include <Eigen/Core>
#include <algorithm>

#include "codec/codec.h"
#include "core/error.h"
#include "core/threads.h"
#include "kernel/gradients.h"
#include "kernel/outer_products.h"

namespace strata::quantize {
namespace {

constexpr std::size_t kRows = 64;  // of a solve

using RowMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::Index index(std::size_t n) { return static_cast<Eigen::Index>(n); }

/// rows (count, size) times (H + damping)^-1, in place: H + damping = L^T D L with L = 1 + feedback.rows.
void solve(const Feedback& feedback, float* rows, std::size_t count) {
  const std::size_t n = feedback.size;
  const Eigen::Map<const RowMatrix> lower(feedback.rows.data(), index(n), index(n));
  Eigen::Map<RowMatrix> x(rows, index(count), index(n));
  lower.triangularView<Eigen::UnitLower>().solveInPlace<Eigen::OnTheRight>(x);
  for (std::size_t r = 0; r < count; ++r)
    for (std::size_t c = 0; c < n; ++c)
      rows[r * n + c] = feedback.variance[c] > 0.0f ? rows[r * n + c] / feedback.variance[c] : 0.0f;
  lower.transpose().triangularView<Eigen::UnitUpper>().solveInPlace<Eigen::OnTheRight>(x);
}

}  // namespace

CrossMoment::CrossMoment(std::size_t rows, std::size_t cols) : rows_(rows), cols_(cols), sums_(rows * cols, 0.0f) {}

void CrossMoment::add(const float* a, const float* b, std::size_t tokens, kernel::Precision precision) {
  kernel::add_outer_products(a, rows_, b, cols_, tokens, sums_.data(), kernel::Part::all, precision);
}

std::vector<float> corrected_weights(const MatrixView& weights, const Drift& drift, const Feedback& feedback) {
  const std::size_t n = weights.cols, rows = weights.rows;
  STRATA_CHECK(drift.inputs.rows() == n && drift.inputs.cols() == n && feedback.size == n && feedback.order.empty());
  STRATA_CHECK(!drift.residual || (drift.residual->rows() == rows && drift.residual->cols() == n));
  std::vector<float> result(rows * n), change(rows * n), turned(n * n);
  for (std::size_t r = 0; r < rows; ++r) codec::widen_row(weights, r, std::span(result).subspan(r * n, n));
  kernel::transpose(drift.inputs.sums().data(), n, n, n, turned.data());
  kernel::matmul(result.data(), n, rows, {MatrixView::dense(turned.data(), n, n, DType::f32), nullptr}, change.data(),
                 n, kernel::Precision::f32);
  parallel_for((rows + kRows - 1) / kRows, [&](std::size_t item) {
    const std::size_t first = item * kRows, count = std::min(kRows, rows - first);
    float* const mine = change.data() + first * n;
    if (drift.residual)
      for (std::size_t i = 0; i < count * n; ++i) mine[i] += drift.residual->sums()[first * n + i];
    solve(feedback, mine, count);
    for (std::size_t i = 0; i < count * n; ++i) result[first * n + i] += mine[i];
  });
  return result;
}

}  // namespace strata::quantize
