// Rows are cut into stretches by their size alone; what is written does not depend on the number of threads.
// The pages of the linear that comes next are read from the disk meanwhile.
#include "pipeline/output/linear_encoder.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "core/checked.h"
#include "core/threads.h"
#include "quantize/rtn.h"

namespace strata::pipeline {
namespace {

/// A copy that owns its bytes.
std::shared_ptr<const codec::Stored> owned(const codec::Stored& stored) {
  auto copy = std::make_shared<codec::Stored>(codec::allocate(*stored.codec, stored.rows, stored.cols));
  for (std::size_t i = 0; i < copy->parts.size(); ++i) std::ranges::copy(stored.views[i], copy->parts[i].begin());
  return copy;
}

/// One row as `dtype`; false when a weight is not finite.
bool convert_row(const MatrixView& view, std::size_t r, DType dtype, std::vector<float>& row, std::byte* out) {
  read_row(view, r, 0, view.cols, row.data());
  std::uint32_t most = 0;
  for (const float w : row) most = std::max(most, std::bit_cast<std::uint32_t>(w) & 0x7FFFFFFFu);
  narrow_row(row, dtype == DType::f32 ? DType::f32 : DType::bf16, out);
  return most < 0x7F800000u;
}

[[noreturn]] void fail_not_finite(const model::Model& model, const std::string& name, const MatrixView& view,
                                  std::size_t r) {
  std::vector<float> row(view.cols);
  read_row(view, r, 0, view.cols, row.data());
  const auto c = std::ranges::find_if(row, [](float w) { return !std::isfinite(w); });
  fail("{}: {}: weight [{}, {}] is {}; the file is damaged or training diverged", model.path().string(), name, r,
       c - row.begin(), *c);
}

}  // namespace

std::shared_ptr<const codec::Stored> LinearEncoder::linear(std::size_t index) {
  if (index == current_) return stored_;
  current_ = index;
  if (options_.stored) return stored_ = owned(options_.stored(index));
  const model::Architecture& a = model_.architecture();
  const model::Linear& linear = a.linears[index];
  const codec::Codec& codec = *codecs_[index];
  if (index + 1 < a.linears.size()) model_.will_need(a.linears[index + 1].module + ".weight");
  const model::LinearWeights weights = model_.weights(linear);
  const std::span<const float> importance =
      options_.importance.empty() ? std::span<const float>() : std::span<const float>(options_.importance[index]);
  const float scale = scales_.of(index, codec, weights.view().dense);
  stored_ = std::make_shared<codec::Stored>(
      quantize::quantize_rtn(codec, weights.view().dense, importance, options_.scale_fit, scale));
  model_.release(linear.module + ".weight");
  return stored_;
}

void dense_rows(const model::Model& model, const std::string& name, const DenseShape& shape,
                const std::function<void(std::vector<std::byte>)>& write) {
  const std::size_t rows = shape.rows, cols = shape.cols;
  const DType dtype = shape.dtype;
  STRATA_CHECK(dtype == DType::bf16 || dtype == DType::f32, "{}", name);
  std::vector<float> values;
  if (shape.vector) values = model.vector(name, cols);
  const model::LinearWeights weights = shape.vector
                                           ? model::LinearWeights(MatrixView::dense(values.data(), 1, cols, DType::f32))
                                           : model.matrix(name, rows, cols);
  const MatrixView view = weights.view().dense;
  constexpr std::size_t stretch_weights = 1 << 20, rows_together = 64;
  const std::size_t stretch = std::max<std::size_t>(1, stretch_weights / std::max<std::size_t>(cols, 1));
  const std::size_t row_bytes = cols * dtype_bytes(dtype);
  for (std::size_t begin = 0; begin < rows; begin += stretch) {
    const std::size_t count = std::min(stretch, rows - begin);
    std::vector<std::byte> bytes(count * row_bytes);
    std::vector<char> finite(count);
    parallel_for(ceil_div(count, rows_together), [&](std::size_t item) {
      std::vector<float> row(cols);
      for (std::size_t r = item * rows_together; r < std::min(count, (item + 1) * rows_together); ++r)
        finite[r] = convert_row(view, begin + r, shape.dtype, row, bytes.data() + r * row_bytes) ? 1 : 0;
    });
    if (const auto bad = std::ranges::find(finite, 0); bad != finite.end())
      fail_not_finite(model, name, view, begin + static_cast<std::size_t>(bad - finite.begin()));
    write(std::move(bytes));
  }
  if (!shape.vector) model.release(name);
}

}  // namespace strata::pipeline
