// The speed of products of few tokens with stored weights, in bytes of their codec against the bandwidth of reading
// them.
#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "core/checked.h"
#include "core/error.h"
#include "core/threads.h"
#include "kernel/byte_products.h"
#include "kernel/peaks.h"

namespace strata::kernel {
namespace {

constexpr std::uint64_t kBytes = 64u << 20;  // of stored weights: more than most caches hold

std::vector<float> random_values(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(random() % 2001u) / 1000.0f - 1.0f;
  return values;
}

/// All rows hold the same weights, which takes no time off a kernel and needs one row of memory.
codec::Stored same_rows(const codec::Codec& codec, std::size_t rows, const std::vector<float>& row) {
  codec::Stored stored = codec::allocate(codec, rows, row.size());
  const MatrixView view{reinterpret_cast<const std::byte*>(row.data()), rows, row.size(), DType::f32, 0};
  constexpr std::size_t together = 32;
  parallel_for(ceil_div(rows, together), [&](std::size_t i) {
    codec::encode_rows(codec, view, {}, codec::ScaleFit::minmax, codec::tensor_scale(codec, 1.0f), i * together,
                       std::min(together, rows - i * together), stored);
  });
  return stored;
}

/// Compares the products of a few rows with sums in double. error: the largest, as a share of the sum of magnitudes.
void check_rows(const codec::Stored& stored, const std::vector<float>& x, std::size_t tokens,
                const std::vector<float>& y, double error) {
  std::vector<float> row(stored.cols);
  for (std::size_t r = 0; r < stored.rows; r += ceil_div(stored.rows, std::size_t{5})) {
    codec::decode_row(stored, r, 0, stored.cols, row.data());
    for (std::size_t t = 0; t < tokens; ++t) {
      double sum = 0, size = 0;
      for (std::size_t c = 0; c < stored.cols; ++c) {
        const double product = static_cast<double>(row[c]) * static_cast<double>(x[t * stored.cols + c]);
        sum += product;
        size += std::abs(product);
      }
      const double got = static_cast<double>(y[t * stored.rows + r]);
      STRATA_CHECK(std::abs(got - sum) <= error * size, "{} row {}: {} instead of {}", stored.codec->name, r, got, sum);
    }
  }
}

/// multiply(x, weights, y) of as many rows as kBytes hold; false: there is no such kernel.
template <class Multiply>
KernelFigure measure(const codec::Codec& codec, std::size_t cols, std::size_t tokens, const char* how, double error,
                     double seconds, const Multiply& multiply) {
  const std::uint64_t row_bytes = std::max<std::uint64_t>(1, codec::stored_bytes(codec, 32, cols) / 32);
  const auto rows = static_cast<std::size_t>(std::max<std::uint64_t>(32, kBytes / row_bytes));
  const codec::Stored stored = same_rows(codec, rows, random_values(cols, 1));
  const std::vector<float> x = random_values(tokens * cols, 2);
  std::vector<float> y(tokens * rows);
  if (!multiply(x.data(), Weights{{}, &stored}, y.data())) return {};
  check_rows(stored, x, tokens, y, error);
  const double operations = 2.0 * static_cast<double>(tokens * rows * cols);
  return measure_reading(
      fmt::format("{} of {} columns{}", codec.name, cols, how), tokens, operations, stored.views.front(),
      [&] {
        multiply(x.data(), Weights{{}, &stored}, y.data());
      },
      seconds);
}

}  // namespace

KernelFigure measure_stored(const codec::Codec& codec, std::size_t cols, std::size_t tokens, double seconds) {
  return measure(codec, cols, tokens, "", 0x1p-18, seconds, [=](const float* x, const Weights& w, float* y) {
    matmul(x, cols, tokens, w, y, w.rows(), Precision::f32);
    return true;
  });
}

KernelFigure measure_in_bytes(const codec::Codec& codec, std::size_t cols, double seconds) {
  // x is off by at most 1 / 254 of the largest of its block, which is twice as large as their mean.
  return measure(codec, cols, 1, ", in bytes", 0x1p-6, seconds,
                 [](const float* x, const Weights& w, float* y) { return multiply_in_bytes(x, w, y); });
}

}  // namespace strata::kernel
