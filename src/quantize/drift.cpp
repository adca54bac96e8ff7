// Products by kernel::matmul; the inverse by two triangular solves with the factors that error feedback uses.
#include "quantize/drift.h"

#include <Eigen/Core>
#include <algorithm>

#include "codec/codec.h"
#include "core/checked.h"
#include "core/error.h"
#include "core/threads.h"
#include "kernel/gradients.h"
#include "kernel/outer_products.h"

namespace strata::quantize {
namespace {

constexpr std::size_t kRows = 64;    // that a thread solves together
constexpr std::size_t kWidth = 256;  // columns that are solved before their product with the factor

using RowMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Strided = Eigen::Map<RowMatrix, 0, Eigen::OuterStride<>>;

Eigen::Index index(std::size_t n) { return static_cast<Eigen::Index>(n); }

/// Columns of some rows, and the triangle of the factor that they meet: its rows and columns [begin, begin + size).
struct Columns {
  float* rows;
  std::size_t count, stride, begin, size;

  /// These columns less `others` (count, width; rows `stride` apart) times the transpose of `factors` (size, width;
  /// rows factor_stride apart). product: (count, size) to work in.
  void subtract(const float* others, const float* factors, std::size_t width, std::size_t factor_stride,
                float* product) const {
    kernel::matmul(others, stride, count, {MatrixView::strided(factors, size, width, factor_stride), nullptr}, product,
                   size, kernel::Precision::f32);
    parallel_for(count, [&](std::size_t r) {
      for (std::size_t c = 0; c < size; ++c) rows[r * stride + begin + c] -= product[r * size + c];
    });
  }

  /// solve_in_place gets these columns of some rows, on all threads.
  template <class Solve>
  void solve(Solve solve_in_place) const {
    parallel_for((count + kRows - 1) / kRows, [&](std::size_t item) {
      const std::size_t first = item * kRows;
      solve_in_place(Strided(rows + first * stride + begin, index(std::min(kRows, count - first)), index(size),
                             Eigen::OuterStride<>(index(stride))));
    });
  }
};

/// rows (count, size) times (H + damping)^-1, in place: H + damping = L^T D L with L = 1 + feedback.rows. First by
/// L^-1, the last columns first, then by D^-1 and L^-T, the first columns first: a block of columns is solved on its
/// own once the share of those before it is taken away by one product.
void solve(const Feedback& feedback, float* rows, std::size_t count) {
  const std::size_t n = feedback.size, last = (n - 1) / kWidth * kWidth;
  const Eigen::Map<const RowMatrix> lower(feedback.rows.data(), index(n), index(n));
  std::vector<float> product(count * kWidth), turned(n * std::min(n, kWidth));
  const auto columns = [&](std::size_t begin) -> Columns {
    return {rows, count, n, begin, std::min(kWidth, n - begin)};
  };
  const auto corner = [&](const Columns& c) {
    return lower.block(index(c.begin), index(c.begin), index(c.size), index(c.size));
  };
  for (std::size_t begin = last + kWidth; begin >= kWidth;) {
    begin -= kWidth;
    const Columns mine = columns(begin);
    if (const std::size_t behind = begin + mine.size; behind < n) {
      kernel::transpose(feedback.rows.data() + behind * n + begin, n, n - behind, mine.size, turned.data());
      mine.subtract(rows + behind, turned.data(), n - behind, n - behind, product.data());
    }
    mine.solve([&](Strided x) { corner(mine).triangularView<Eigen::UnitLower>().solveInPlace<Eigen::OnTheRight>(x); });
  }
  parallel_for(count, [&](std::size_t r) {
    for (std::size_t c = 0; c < n; ++c)
      rows[r * n + c] = feedback.variance[c] > 0.0f ? rows[r * n + c] / feedback.variance[c] : 0.0f;
  });
  for (std::size_t begin = 0; begin < n; begin += kWidth) {
    const Columns mine = columns(begin);
    if (begin > 0) mine.subtract(rows, feedback.rows.data() + begin * n, begin, n, product.data());
    mine.solve([&](Strided x) {
      corner(mine).transpose().triangularView<Eigen::UnitUpper>().solveInPlace<Eigen::OnTheRight>(x);
    });
  }
}

}  // namespace

CrossMoment::CrossMoment(std::size_t rows, std::size_t cols) : rows_(rows), cols_(cols), sums_(rows * cols, 0.0f) {}

void CrossMoment::add(const float* a, const float* b, std::size_t tokens, kernel::Precision precision) {
  kernel::add_outer_products(a, rows_, b, cols_, tokens, sums_.data(), kernel::Part::all, precision);
}

CrossMoment& CrossMoment::operator+=(const CrossMoment& other) {
  STRATA_CHECK(other.rows_ == rows_ && other.cols_ == cols_, "{} x {} and {} x {}", rows_, cols_, other.rows_,
               other.cols_);
  parallel_for(rows_, [&](std::size_t r) {
    for (std::size_t i = r * cols_; i < (r + 1) * cols_; ++i) sums_[i] += other.sums_[i];
  });
  return *this;
}

std::vector<float> corrected_weights(const MatrixView& weights, const Drift& drift, const Feedback& feedback,
                                     std::size_t first, std::size_t end) {
  const std::size_t n = weights.cols, rows = weights.rows;
  const bool of_inputs = drift.of == Drift::Of::inputs;
  STRATA_CHECK(drift.moment.rows() == (of_inputs ? n : rows) && drift.moment.cols() == n && feedback.size == n &&
               feedback.order.empty());
  // A row is solved in the same place of the same rows, whichever rows are asked for.
  first = first / kRows * kRows;
  const std::size_t count = std::min(rows, round_up(end, kRows)) - first;
  std::vector<float> result(rows * n), change(count * n);
  float* const mine = result.data() + first * n;
  parallel_for(count, [&](std::size_t r) { codec::widen_row(weights, first + r, {mine + r * n, n}); });
  const std::vector<float>& moment = drift.moment.sums();
  if (of_inputs) {
    std::vector<float> turned(n * n);
    kernel::transpose(moment.data(), n, n, n, turned.data());
    kernel::matmul(mine, n, count, {MatrixView::dense(turned.data(), n, n, DType::f32), nullptr}, change.data(), n,
                   kernel::Precision::f32);
  } else {
    std::copy_n(moment.data() + first * n, count * n, change.data());
  }
  solve(feedback, change.data(), count);
  parallel_for(count, [&](std::size_t r) {
    for (std::size_t i = r * n; i < (r + 1) * n; ++i) mine[i] += change[i];
  });
  return result;
}

}  // namespace strata::quantize
