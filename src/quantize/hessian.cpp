// Sums of the lower triangle, mirrored; a blocked, left-looking Cholesky factorization.
// All work is cut by sizes alone, so that threads change nothing.
#include "quantize/hessian.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/threads.h"
#include "kernel/outer_products.h"

namespace strata::quantize {
namespace {

constexpr std::size_t kTile = 64;      // rows and columns mirrored together
constexpr std::size_t kStretch = 256;  // columns of the factors whose products are made together

using RowMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Strided = Eigen::Map<RowMatrix, 0, Eigen::OuterStride<>>;

Strided map(float* data, std::size_t rows, std::size_t cols, std::size_t stride) {
  const auto index = [](std::size_t n) { return static_cast<Eigen::Index>(n); };
  return {data, index(rows), index(cols), Eigen::OuterStride<>(index(stride))};
}

/// Lower triangular L with L L^T = a, in place; what is above the diagonal is left as it was. False when `a` is not
/// positive definite.
bool cholesky(float* a, std::size_t n) {
  constexpr std::size_t width = 128;
  std::vector<float> product(n * width);
  for (std::size_t k = 0; k < n; k += width) {
    const std::size_t size = std::min(width, n - k);
    if (k > 0) {
      const kernel::Weights rows{MatrixView::strided(a + k * n, size, k, n), nullptr};
      kernel::matmul(a + k * n, n, n - k, rows, product.data(), size, kernel::Precision::f32);
      map(a + k * n + k, n - k, size, n) -= map(product.data(), n - k, size, size);
    }
    Eigen::MatrixXd corner = map(a + k * n + k, size, size, n).cast<double>();
    Eigen::LLT<Eigen::Ref<Eigen::MatrixXd>> llt(corner);
    if (llt.info() != Eigen::Success || !corner.diagonal().allFinite()) return false;
    const RowMatrix lower = corner.cast<float>();
    for (std::size_t r = 0; r < size; ++r) std::copy_n(lower.data() + r * size, r + 1, a + (k + r) * n + k);
    const std::size_t below = n - k - size, stretches = (below + width - 1) / width;
    parallel_for(stretches, [&](std::size_t s) {
      const std::size_t row = k + size + s * width;
      auto panel = map(a + row * n + k, std::min(width, n - row), size, n);
      lower.triangularView<Eigen::Lower>().transpose().solveInPlace<Eigen::OnTheRight>(panel);
    });
  }
  return true;
}

}  // namespace

Hessian::Hessian(std::size_t size) : size_(size), sums_(size * size, 0.0f) {}

void Hessian::add(const float* rows, std::size_t tokens, kernel::Precision precision) {
  add_lower(rows, tokens, precision);
  mirror();
}

void Hessian::add_lower(const float* rows, std::size_t tokens, kernel::Precision precision) {
  kernel::add_outer_products(rows, size_, rows, size_, tokens, sums_.data(), kernel::Part::lower, precision);
  tokens_ += tokens;
}

void Hessian::mirror() {
  const std::size_t n = size_;
  parallel_for((n + kTile - 1) / kTile, [&](std::size_t item) {
    const std::size_t first = item * kTile, end = std::min(n, first + kTile);
    for (std::size_t from = first; from < n; from += kTile)
      for (std::size_t r = first; r < end; ++r)
        for (std::size_t c = std::max(from, r + 1); c < std::min(n, from + kTile); ++c)
          sums_[r * n + c] = sums_[c * n + r];
  });
}

Hessian& Hessian::operator+=(const Hessian& other) {
  STRATA_CHECK(other.size_ == size_, "sizes {} and {}", size_, other.size_);
  parallel_for(size_, [&](std::size_t r) {
    for (std::size_t i = r * size_; i <= r * size_ + r; ++i) sums_[i] += other.sums_[i];
  });
  tokens_ += other.tokens_;
  return *this;
}

std::array<std::span<std::byte>, 2> Hessian::memory() {
  return {std::as_writable_bytes(std::span(&tokens_, 1)), std::as_writable_bytes(std::span(sums_))};
}

std::vector<float> Hessian::diagonal() const {
  std::vector<float> result(size_);
  for (std::size_t i = 0; i < size_; ++i) result[i] = at(i, i);
  return result;
}

Feedback factorize(const Hessian& hessian, double damping, std::vector<std::uint32_t> order) {
  const std::size_t n = hessian.size();
  double mean = 0;
  for (const float d : hessian.diagonal()) mean += static_cast<double>(d) / static_cast<double>(n);
  if (!std::isfinite(mean)) fail("the inputs of a linear are not finite; the weights or the calibration are damaged");
  Feedback result{n, std::vector<float>(n * n), std::vector<float>(n), damping, 0.0, std::move(order)};
  STRATA_CHECK(result.order.empty() || result.order.size() == n);
  const auto column = [&](std::size_t k) { return result.order.empty() ? k : result.order[k]; };
  std::vector<float>& l = result.rows;
  // The last column is eliminated first: with indices reversed, an ordinary lower triangular factor.
  while (true) {
    const auto added = static_cast<float>(mean > 0 ? result.damping * mean : 1.0);
    result.added = added;
    for (std::size_t r = 0; r < n; ++r) {
      const float* const row = hessian.row(column(n - 1 - r));
      for (std::size_t c = 0; c <= r; ++c) l[r * n + c] = row[column(n - 1 - c)];
      l[r * n + r] += added;
    }
    if (cholesky(l.data(), n)) break;
    if (result.damping > 1e6) fail("the inputs of a linear have no usable Hessian; the calibration is damaged");
    result.damping *= 10;
  }
  for (std::size_t k = 0; k < n; ++k) {
    const float d = l[(n - 1 - k) * n + n - 1 - k];
    result.variance[k] = d * d;
  }
  // rows[k, i] = L[n-1-i, n-1-k] / L[n-1-k, n-1-k]: a reflection at the other diagonal, whose elements (k, n-1-k) stay.
  for (std::size_t k = 0; k < n; ++k)
    for (std::size_t i = 0; i + k < n; ++i) std::swap(l[k * n + i], l[(n - 1 - i) * n + n - 1 - k]);
  parallel_for(n, [&](std::size_t k) {
    const float d = std::sqrt(result.variance[k]);
    for (std::size_t i = 0; i < k; ++i) l[k * n + i] /= d;
    std::fill(l.begin() + static_cast<std::ptrdiff_t>(k * n + k), l.begin() + static_cast<std::ptrdiff_t>((k + 1) * n),
              0.0f);
  });
  return result;
}

std::vector<double> factored_errors(const Feedback& feedback, std::span<const float> differences, std::size_t rows) {
  const std::size_t n = feedback.size;
  STRATA_CHECK(differences.size() == rows * n, "{} differences for {} x {}", differences.size(), rows, n);
  std::vector<float> ordered;
  if (!feedback.order.empty()) {
    ordered.resize(rows * n);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t k = 0; k < n; ++k) ordered[r * n + k] = differences[r * n + feedback.order[k]];
    differences = ordered;
  }
  std::vector<double> errors(rows, 0.0);
  std::vector<float> product(rows * kStretch);
  for (std::size_t begin = 0; begin < n; begin += kStretch) {
    const std::size_t size = std::min(kStretch, n - begin);
    const MatrixView u = MatrixView::strided(feedback.rows.data() + begin * n, size, begin + size, n);
    kernel::matmul(differences.data(), n, rows, {u, nullptr}, product.data(), size, kernel::Precision::f32);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t k = 0; k < size; ++k) {
        const double own = differences[r * n + begin + k], all = own + static_cast<double>(product[r * size + k]);
        errors[r] += static_cast<double>(feedback.variance[begin + k]) * all * all - feedback.added * own * own;
      }
  }
  for (double& error : errors) error = std::max(error, 0.0);
  return errors;
}

std::vector<double> hessian_errors(const Hessian& hessian, std::span<const float> differences, std::size_t rows) {
  const std::size_t n = hessian.size();
  STRATA_CHECK(differences.size() == rows * n, "{} differences for {} x {}", differences.size(), rows, n);
  std::vector<float> product(rows * n);
  const kernel::Weights h{MatrixView::dense(hessian.row(0), n, n, DType::f32), nullptr};
  kernel::matmul(differences.data(), n, rows, h, product.data(), n, kernel::Precision::f32);
  std::vector<double> errors(rows, 0.0);
  for (std::size_t i = 0; i < rows * n; ++i)
    errors[i / n] += static_cast<double>(differences[i]) * static_cast<double>(product[i]);
  return errors;
}

double hessian_error(const Hessian& hessian, std::span<const float> differences, std::size_t rows) {
  double error = 0.0;
  for (const double of_row : hessian_errors(hessian, differences, rows)) error += of_row;
  return error;
}

}  // namespace strata::quantize
