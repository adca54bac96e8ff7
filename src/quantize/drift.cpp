// Products by kernel::matmul; the inverse by two triangular solves with the factors that error feedback uses, as
// products too.
#include "quantize/drift.h"

#include <algorithm>

#include "codec/codec.h"
#include "core/checked.h"
#include "core/error.h"
#include "core/threads.h"
#include "kernel/gradients.h"
#include "kernel/outer_products.h"
#include "kernel/round_rows.h"
#include "quantize/cholesky.h"

namespace strata::quantize {
namespace {

constexpr std::size_t kRows = 64;    // that are solved together at least
constexpr std::size_t kWidth = 128;  // columns that are solved before their product with the factor

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

  /// These columns times the transpose of `inverse` (size, size).
  void multiply(const float* inverse, float* product) const {
    kernel::matmul(rows + begin, stride, count, {MatrixView::dense(inverse, size, size, DType::f32), nullptr}, product,
                   size, kernel::Precision::f32);
    parallel_for(count, [&](std::size_t r) { std::copy_n(product + r * size, size, rows + r * stride + begin); });
  }
};

/// rows (count, size) times (H + damping)^-1, in place: H + damping = L^T D L with L = 1 + feedback.rows. First by
/// L^-1, the last columns first, then by D^-1 and L^-T, the first columns first: a block of columns is multiplied with
/// the inverse of its triangle once the share of those before it is taken away by one product.
void solve(const Feedback& feedback, float* rows, std::size_t count) {
  const std::size_t n = feedback.size, blocks = (n + kWidth - 1) / kWidth;
  std::vector<float> product(count * kWidth), turned(n * std::min(n, kWidth));
  const auto columns = [&](std::size_t block) -> Columns {
    return {rows, count, n, block * kWidth, std::min(kWidth, n - block * kWidth)};
  };
  std::vector<std::vector<float>> inverses(blocks);
  parallel_for(blocks, [&](std::size_t block) {
    const Columns mine = columns(block);
    std::vector<float> triangle(mine.size * mine.size);
    for (std::size_t r = 0; r < mine.size; ++r) {
      std::copy_n(feedback.rows.data() + (mine.begin + r) * n + mine.begin, r, triangle.data() + r * mine.size);
      triangle[r * mine.size + r] = 1.0f;
    }
    inverses[block] = inverse_of_lower(triangle.data(), mine.size, mine.size);
  });
  for (std::size_t block = blocks; block-- > 0;) {
    const Columns mine = columns(block);
    if (const std::size_t behind = mine.begin + mine.size; behind < n) {
      kernel::transpose(feedback.rows.data() + behind * n + mine.begin, n, n - behind, mine.size, turned.data());
      mine.subtract(rows + behind, turned.data(), n - behind, n - behind, product.data());
    }
    kernel::transpose(inverses[block].data(), mine.size, mine.size, mine.size, turned.data());
    mine.multiply(turned.data(), product.data());
  }
  parallel_for(count, [&](std::size_t r) {
    for (std::size_t c = 0; c < n; ++c)
      rows[r * n + c] = feedback.variance[c] > 0.0f ? rows[r * n + c] / feedback.variance[c] : 0.0f;
  });
  for (std::size_t block = 0; block < blocks; ++block) {
    const Columns mine = columns(block);
    if (block > 0) mine.subtract(rows, feedback.rows.data() + mine.begin * n, mine.begin, n, product.data());
    mine.multiply(inverses[block].data(), product.data());
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

std::vector<float> corrected_weights(const MatrixView& weights, const Drift& drift, const Hessian& hessian,
                                     const Feedback& feedback, std::size_t first, std::size_t end) {
  const std::size_t n = weights.cols, rows = weights.rows;
  const bool of_inputs = drift.of == Drift::Of::inputs;
  STRATA_CHECK(drift.moment.rows() == (of_inputs ? n : rows) && drift.moment.cols() == n && hessian.size() == n &&
               feedback.size == n && feedback.order.empty());
  // As few rows as the product of one with another kernel has are never multiplied alone, so that a row's result is the
  // same whichever rows are asked for.
  first = std::min(first, rows - std::min(rows, kRows)) / kRows * kRows;
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
    kernel::matmul(mine, n, count, {MatrixView::dense(hessian.row(0), n, n, DType::f32), nullptr}, change.data(), n,
                   kernel::Precision::f32);
    kernel::subtract(moment.data() + first * n, change.data(), count * n, change.data());
  }
  solve(feedback, change.data(), count);
  parallel_for(count, [&](std::size_t r) {
    for (std::size_t i = r * n; i < (r + 1) * n; ++i) mine[i] += change[i];
  });
  return result;
}

}  // namespace strata::quantize
