// Sums of the lower triangle, mirrored; the factors of cholesky.h, scaled to a unit diagonal.
// All work is cut by sizes alone, so that threads change nothing.
#include "quantize/hessian.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/threads.h"
#include "kernel/dispatch.h"
#include "quantize/cholesky.h"

namespace strata::quantize {
namespace {

constexpr std::size_t kTile = 64;      // rows mirrored together
constexpr std::size_t kStretch = 256;  // columns of the factors whose products are made together

/// The rows [first, end) right of the diagonal become the mirror image of the columns below it.
void mirror(float* sums, std::size_t n, std::size_t first, std::size_t end) {
  const kernel::MatmulKernel& kernel = kernel::selected_variant().f32;  // packing a panel transposes it
  const std::size_t height = kernel.tile_rows;
  thread_local std::vector<float> turned;
  turned.resize(kTile * height + kernel.lanes);
  for (std::size_t from = first; from < n; from += height) {
    const std::size_t rows = std::min(height, n - from);
    kernel.pack_w(reinterpret_cast<const std::byte*>(sums + from * n + first), n * sizeof(float), DType::f32, rows,
                  end - first, turned.data());
    for (std::size_t r = first; r < end; ++r) {
      const std::size_t begin = std::max(from, r + 1);
      if (begin < from + rows)
        std::copy_n(turned.data() + (r - first) * height + begin - from, from + rows - begin, sums + r * n + begin);
    }
  }
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
    quantize::mirror(sums_.data(), n, item * kTile, std::min(n, (item + 1) * kTile));
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
  while (true) {
    const auto added = static_cast<float>(mean > 0 ? result.damping * mean : 1.0);
    result.added = added;
    parallel_for(n, [&](std::size_t k) {
      const float* const row = hessian.row(column(k));
      float* const to = result.rows.data() + k * n;
      if (result.order.empty())
        std::copy_n(row, k + 1, to);
      else
        for (std::size_t i = 0; i <= k; ++i) to[i] = row[result.order[i]];
      to[k] += added;
    });
    if (factor_from_last(result.rows.data(), n)) break;
    if (result.damping > 1e6) fail("the inputs of a linear have no usable Hessian; the calibration is damaged");
    result.damping *= 10;
  }
  parallel_for(n, [&](std::size_t k) {
    float* const row = result.rows.data() + k * n;
    const float d = row[k];
    result.variance[k] = d * d;
    for (std::size_t i = 0; i < k; ++i) row[i] /= d;
    std::fill(row + k, row + n, 0.0f);
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
