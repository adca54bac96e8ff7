// Coordinate descent over codes: with all others fixed, tr(dW H dW^T) is a parabola in one weight, whose best code is
// the nearest to its lowest point. Products with H are made a block of columns at a time.
#include <algorithm>

#include "quantize/rounding_rows.h"

namespace strata::quantize {
namespace {

constexpr float kWorthwhile = 1e-5f;  // a change below this share of its own cost is rounding

/// The columns [begin, begin + size) of row `r`. gradient: (dW H) there, kept up to date; h: those rows and columns of
/// H.
void refine_codes(const RoundingProblem& p, RoundingRows& rows, std::size_t r, std::size_t begin, std::size_t size,
                  float* gradient, const float* h) {
  const std::size_t at = r * rows.cols + begin;
  for (std::size_t k = 0; k < size; ++k) {
    const codec::GroupParams& group = rows.groups[r * rows.groups_per_row + p.group_of(begin + k)];
    const float curvature = h[k * size + k];
    if (!(curvature > 0.0f)) continue;
    const float weight = rows.weights[at + k], decoded = weight - rows.errors[at + k];
    const std::uint8_t code = p.codec.round(p.codec, decoded + gradient[k] / curvature, group);
    if (code == rows.codes[at + k]) continue;
    const float error = weight - p.codec.value(p.codec, code, group), change = error - rows.errors[at + k];
    const float own = change * change * curvature;
    if (!(2.0f * change * gradient[k] + own < -kWorthwhile * own)) continue;
    rows.codes[at + k] = code;
    rows.errors[at + k] = error;
    const float* const column = h + k * size;
    for (std::size_t j = 0; j < size; ++j) gradient[j] += change * column[j];
  }
}

}  // namespace

void refine(const RoundingProblem& p, RoundingRows& rows) {
  const std::size_t n = rows.cols, width = std::min(p.block_width(), n);
  std::vector<float> gradient(rows.count * width), h(width * width);
  for (std::size_t begin = 0; begin < n; begin += width) {
    const std::size_t size = std::min(width, n - begin);
    const MatrixView columns = MatrixView::dense(p.hessian.row(begin), size, n, DType::f32);
    kernel::matmul(rows.errors.data(), n, rows.count, {columns, nullptr}, gradient.data(), size,
                   kernel::Precision::f32);
    for (std::size_t k = 0; k < size; ++k) std::copy_n(p.hessian.row(begin + k) + begin, size, h.data() + k * size);
    for (std::size_t r = 0; r < rows.count; ++r)
      refine_codes(p, rows, r, begin, size, gradient.data() + r * size, h.data());
  }
}

}  // namespace strata::quantize
