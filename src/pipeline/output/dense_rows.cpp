// Rows are cut into stretches by their size alone; what is written does not depend on the number of threads.
// A row's weights are checked by their largest magnitude, as bits; the weight at fault is looked for when there is one.
#include "pipeline/output/dense_rows.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "core/checked.h"
#include "core/error.h"
#include "core/threads.h"

namespace strata::pipeline {
namespace {

constexpr float kHalfLimit = 65520.0f;  // rounds to infinity in float16

/// The least magnitude that the type cannot hold, as the bits of a float. Those of infinity and NaN are no smaller.
std::uint32_t limit_of(DType dtype) {
  return std::bit_cast<std::uint32_t>(dtype == DType::f16 ? kHalfLimit : INFINITY);
}

/// One row of the source as `dtype`; false when a weight cannot be held.
bool convert_row(const MatrixView& view, std::size_t r, DType dtype, std::vector<float>& row, std::byte* out) {
  read_row(view, r, 0, view.cols, row.data());
  std::uint32_t most = 0;
  for (const float w : row) most = std::max(most, std::bit_cast<std::uint32_t>(w) & 0x7FFFFFFFu);
  narrow_row(row, dtype, out);
  return most < limit_of(dtype);
}

[[noreturn]] void fail_weight(const model::Model& model, const std::string& name, const MatrixView& view, std::size_t r,
                              DType dtype) {
  std::vector<float> row(view.cols);
  read_row(view, r, 0, view.cols, row.data());
  const auto c =
      std::ranges::find_if(row, [&](float w) { return !(std::fabs(w) < std::bit_cast<float>(limit_of(dtype))); });
  const std::string where =
      fmt::format("{}: {}: weight [{}, {}] is {}", model.path().string(), name, r, c - row.begin(), *c);
  if (std::isfinite(*c)) fail("{}, beyond float16; use --type bf16", where);
  fail("{}; the file is damaged or training diverged", where);
}

void dense_rows(const model::Model& model, const std::string& name, const MatrixView& view, DType dtype,
                const RowOrder& order, const TakeBytes& take) {
  STRATA_CHECK(dtype == DType::bf16 || dtype == DType::f16 || dtype == DType::f32, "{}", name);
  constexpr std::size_t stretch_weights = 1 << 20, rows_together = 64;
  const std::size_t stretch = std::max<std::size_t>(1, stretch_weights / std::max<std::size_t>(view.cols, 1));
  const std::size_t row_bytes = view.cols * dtype_bytes(dtype);
  const auto source = [&](std::size_t r) { return order ? order(r) : r; };
  for (std::size_t begin = 0; begin < view.rows; begin += stretch) {
    const std::size_t count = std::min(stretch, view.rows - begin);
    std::vector<std::byte> bytes(count * row_bytes);
    std::vector<char> held(count);
    parallel_for(ceil_div(count, rows_together), [&](std::size_t item) {
      std::vector<float> row(view.cols);
      for (std::size_t r = item * rows_together; r < std::min(count, (item + 1) * rows_together); ++r)
        held[r] = convert_row(view, source(begin + r), dtype, row, bytes.data() + r * row_bytes) ? 1 : 0;
    });
    if (const auto bad = std::ranges::find(held, 0); bad != held.end())
      fail_weight(model, name, view, source(begin + static_cast<std::size_t>(bad - held.begin())), dtype);
    take(std::move(bytes));
  }
}

}  // namespace

void dense_matrix(const model::Model& model, const std::string& name, std::size_t rows, std::size_t cols, DType dtype,
                  const RowOrder& order, const TakeBytes& take) {
  const model::LinearWeights weights = model.matrix(name, rows, cols);
  dense_rows(model, name, weights.view().dense, dtype, order, take);
  model.release(name);
}

void dense_values(const model::Model& model, const std::string& name, const MatrixView& values, DType dtype,
                  const TakeBytes& take) {
  dense_rows(model, name, values, dtype, {}, take);
}

void dense_vector(const model::Model& model, const std::string& name, std::span<const float> values, DType dtype,
                  const TakeBytes& take) {
  dense_values(model, name, MatrixView::dense(values.data(), 1, values.size(), DType::f32), dtype, take);
}

}  // namespace strata::pipeline
