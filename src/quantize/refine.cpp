// Coordinate descent on tr(dW H dW^T): with all else fixed it is a parabola in a scale, and in one weight or the vector
// that a codec rounds together, whose best codes are the nearest to its lowest point. Products with H are made a block
// of columns at a time.
#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "codec/chosen_rows.h"
#include "kernel/dispatch.h"
#include "kernel/small_products.h"
#include "quantize/rounding_rows.h"
#include "quantize/scales.h"

namespace strata::quantize {
namespace {

constexpr float kWorthwhile = 1e-5f;  // a change below this share of its own cost is rounding

/// Moves a scale by least squares: errors are weight - scale * unit, slope = unit . (error H), curvature = unit H
/// unit^T. Returns the change, 0 when there is no better scale that the codec can store.
float better_scale(const MovableScales& scales, codec::GroupParams& group, double slope, double curvature) {
  if (!(curvature > 0.0)) return 0.0f;
  const float scale = scales.storable(group.scale + static_cast<float>(slope / curvature));
  const double change = static_cast<double>(scale) - static_cast<double>(group.scale),
               own = change * change * curvature;
  const bool usable = std::isfinite(scale) && scale * group.scale > 0.0f;
  if (!usable || !(own - 2.0 * change * slope < -static_cast<double>(kWorthwhile) * own)) return 0.0f;
  group.scale = scale;
  return static_cast<float>(change);
}

/// Columns [begin, begin + size) of some rows. gradients: (dW H) there, (rows, size), kept up to date; h: those rows
/// and columns of H.
struct RefinedBlock {
  std::size_t begin, size;
  float* gradients;
  const float* h;
  const float* inverses;            ///< of H's blocks on the diagonal that are vectors of the codec
  std::span<const float> diagonal;  ///< of h
};

/// The decoded codes at scale 1 of columns [at, at + size) of all rows, one group of each, (count, size).
std::vector<float> units_of(const RoundingProblem& p, const RoundingRows& rows, std::size_t at, std::size_t size) {
  std::vector<float> units(rows.count * size);
  for (std::size_t r = 0; r < rows.count; ++r) {
    const codec::GroupParams unit = unit_scale(rows.groups[r * rows.groups_per_row + p.group_of(at)]);
    codec::values_row(p.codec, std::span(rows.codes).subspan(r * rows.cols + at, size), {&unit, 1},
                      std::span(units).subspan(r * size, size));
  }
  return units;
}

/// Moves the scales of the group in columns [from, to) of the block, in every row. h: (size, size) of the block.
void refine_scales(const RoundingProblem& p, RoundingRows& rows, const RefinedBlock& block, std::size_t from,
                   std::size_t to, const MovableScales& scales) {
  const std::size_t width = to - from;
  const std::vector<float> units = units_of(p, rows, block.begin + from, width);
  std::vector<float> products(rows.count * block.size);
  kernel::multiply_small(kernel::selected_variant().f32, {units.data(), width},
                         {block.h + from * block.size, block.size}, rows.count, block.size, width, products.data(),
                         block.size, kernel::Update::store);
  for (std::size_t r = 0; r < rows.count; ++r) {
    const float *const unit = units.data() + r * width, *const product = products.data() + r * block.size;
    float* const gradient = block.gradients + r * block.size;
    codec::GroupParams& group = rows.groups[r * rows.groups_per_row + p.group_of(block.begin + from)];
    double slope = 0.0, curvature = 0.0;
    for (std::size_t k = 0; k < width; ++k) {
      slope += static_cast<double>(unit[k]) * static_cast<double>(gradient[from + k]);
      curvature += static_cast<double>(unit[k]) * static_cast<double>(product[from + k]);
    }
    const float change = better_scale(scales, group, slope, curvature);
    if (change == 0.0f) continue;
    const std::size_t at = r * rows.cols + block.begin + from;
    const std::span errors = std::span(rows.errors).subspan(at, width);
    codec::values_row(p.codec, std::span(rows.codes).subspan(at, width), {&group, 1}, errors);
    for (std::size_t k = 0; k < width; ++k) errors[k] = rows.weights[at + k] - errors[k];
    kernel::selected_variant().rows.add_scaled(gradient, product, block.size, -change);
  }
}

/// The weights where the error of row r is least, one column or vector of [from, to) at a time, all others being what
/// they are.
void lowest_points(const RoundingRows& rows, const RefinedBlock& block, std::size_t r, std::size_t from, std::size_t to,
                   std::size_t vector, float* lowest) {
  const std::size_t at = r * rows.cols + block.begin;
  const float* const gradient = block.gradients + r * block.size;
  if (vector == 1) {
    const float *const weights = rows.weights.data() + at, *const errors = rows.errors.data() + at;
    for (std::size_t k = from; k < to; ++k) lowest[k - from] = weights[k] - errors[k] + block.inverses[k] * gradient[k];
    return;
  }
  for (std::size_t k = from; k < to; ++k) {
    float point = rows.weights[at + k] - rows.errors[at + k];
    const std::size_t first = k - k % vector;
    for (std::size_t j = 0; j < vector; ++j) point += block.inverses[k * vector + j] * gradient[first + j];
    lowest[k - from] = point;
  }
}

/// Puts `codes` in place of those of the vector at column k of row r, where that lowers the error. True if it does.
bool take_codes(const RoundingProblem& p, RoundingRows& rows, const RefinedBlock& block, std::size_t r, std::size_t k,
                const std::uint8_t* codes) {
  const std::size_t at = r * rows.cols + block.begin + k, vector = p.codec.vector_size;
  const codec::GroupParams& group = rows.groups[r * rows.groups_per_row + p.group_of(block.begin + k)];
  float* const gradient = block.gradients + r * block.size;
  float change[codec::kMostVector], slope = 0.0f, own = 0.0f;
  for (std::size_t i = 0; i < vector; ++i) {
    change[i] = rows.weights[at + i] - p.codec.value(p.codec, codes[i], group) - rows.errors[at + i];
    slope += change[i] * gradient[k + i];
    for (std::size_t j = 0; j <= i; ++j)
      own += (i == j ? 1.0f : 2.0f) * change[i] * change[j] * block.h[(k + i) * block.size + k + j];
  }
  if (!(2.0f * slope + own < -kWorthwhile * own)) return false;
  for (std::size_t i = 0; i < vector; ++i) {
    rows.codes[at + i] = codes[i];
    rows.errors[at + i] += change[i];
    kernel::selected_variant().rows.add_scaled(gradient, block.h + (k + i) * block.size, block.size, change[i]);
  }
  return true;
}

/// The codes of the group in columns [from, to) of row r. All are rounded together, and those after one that is taken
/// again; vectors, which cost much more, one by one.
void refine_codes(const RoundingProblem& p, RoundingRows& rows, const RefinedBlock& block, std::size_t r,
                  std::size_t from, std::size_t to) {
  const std::size_t at = r * rows.cols + block.begin, vector = p.codec.vector_size, width = to - from;
  const codec::GroupParams& group = rows.groups[r * rows.groups_per_row + p.group_of(block.begin + from)];
  thread_local std::vector<float> lowest;
  thread_local std::vector<std::uint8_t> codes;
  lowest.resize(width);
  codes.resize(width);
  for (std::size_t k = from; k < to;) {
    const std::size_t begin = k, end = vector == 1 ? to : k + vector;
    lowest_points(rows, block, r, begin, end, vector, lowest.data());
    codec::round_row(p.codec, std::span<const float>(lowest).first(end - begin),
                     std::span(block.diagonal).subspan(begin, end - begin), {&group, 1},
                     std::span(codes).first(end - begin));
    for (bool taken = false; k < end && !taken; k += vector) {
      const std::uint8_t *const mine = codes.data() + k - begin, *const present = rows.codes.data() + at + k;
      bool differs = false;
      for (std::size_t i = 0; i < vector; ++i) differs = differs || mine[i] != present[i];
      if (differs) taken = take_codes(p, rows, block, r, k, mine);
    }
  }
}

/// The inverses of the blocks of `vector` on the diagonal of h (size, size), row by row; zero for inputs that are dead.
std::vector<float> inverse_blocks(const std::vector<float>& h, std::size_t size, std::size_t vector) {
  using Block = Eigen::MatrixXd;
  const auto n = static_cast<Eigen::Index>(vector);
  std::vector<float> inverses(size * vector, 0.0f);
  for (std::size_t k = 0; k < size; k += vector) {
    Block block(n, n);
    for (std::size_t i = 0; i < vector; ++i)
      for (std::size_t j = 0; j < vector; ++j)
        block(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)) =
            static_cast<double>(h[(k + i) * size + k + j]);
    const double mean = block.trace() / static_cast<double>(vector);
    if (!(mean > 0.0)) continue;
    if (vector > 1) block.diagonal().array() += 1e-4 * mean;
    const Block inverse = block.llt().solve(Block::Identity(n, n));
    if (!inverse.allFinite()) continue;
    for (std::size_t i = 0; i < vector; ++i)
      for (std::size_t j = 0; j < vector; ++j)
        inverses[(k + i) * vector + j] =
            static_cast<float>(inverse(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)));
  }
  return inverses;
}

/// (count, cols) rows times H.
std::vector<float> times_hessian(const RoundingProblem& p, const std::vector<float>& rows) {
  const std::size_t n = p.cols();
  std::vector<float> product(rows.size());
  kernel::matmul(rows.data(), n, rows.size() / n, {MatrixView::dense(p.hessian.row(0), n, n, DType::f32), nullptr},
                 product.data(), n, kernel::Precision::f32);
  return product;
}

void refine_row_scales(const RoundingProblem& p, RoundingRows& rows, const MovableScales& scales) {
  const std::size_t n = rows.cols;
  std::vector<float> units(rows.count * n);
  for (std::size_t i = 0; i < units.size(); ++i) {
    units[i] = p.codec.value(p.codec, rows.codes[i], unit_scale(rows.groups[i / n]));
  }
  const std::vector<float> gradient = times_hessian(p, rows.errors), product = times_hessian(p, units);
  for (std::size_t r = 0; r < rows.count; ++r) {
    double slope = 0.0, curvature = 0.0;
    for (std::size_t i = r * n; i < (r + 1) * n; ++i) {
      slope += static_cast<double>(units[i]) * static_cast<double>(gradient[i]);
      curvature += static_cast<double>(units[i]) * static_cast<double>(product[i]);
    }
    if (better_scale(scales, rows.groups[r], slope, curvature) == 0.0f) continue;
    for (std::size_t i = r * n; i < (r + 1) * n; ++i)
      rows.errors[i] = rows.weights[i] - p.codec.value(p.codec, rows.codes[i], rows.groups[r]);
  }
}

}  // namespace

void refine(const RoundingProblem& p, RoundingRows& rows) {
  const std::size_t n = rows.cols, width = std::min(p.block_width(), n);
  const MovableScales scales(p.codec, p.tensor_scale);
  if (p.whole_rows() && scales.any()) refine_row_scales(p, rows, scales);
  std::vector<float> gradient(rows.count * width), h(width * width);
  for (std::size_t begin = 0; begin < n; begin += width) {
    const std::size_t size = std::min(width, n - begin), step = p.whole_rows() ? size : p.codec.group_size;
    const MatrixView columns = MatrixView::dense(p.hessian.row(begin), size, n, DType::f32);
    kernel::matmul(rows.errors.data(), n, rows.count, {columns, nullptr}, gradient.data(), size,
                   kernel::Precision::f32);
    for (std::size_t k = 0; k < size; ++k) std::copy_n(p.hessian.row(begin + k) + begin, size, h.data() + k * size);
    const std::vector<float> inverses = inverse_blocks(h, size, p.codec.vector_size);
    std::vector<float> diagonal(size);
    for (std::size_t k = 0; k < size; ++k) diagonal[k] = h[k * size + k];
    const RefinedBlock block{begin, size, gradient.data(), h.data(), inverses.data(), diagonal};
    for (std::size_t k = 0; k < size; k += step) {
      const std::size_t end = std::min(size, k + step);
      if (!p.whole_rows() && scales.any()) refine_scales(p, rows, block, k, end, scales);
      for (std::size_t r = 0; r < rows.count; ++r) refine_codes(p, rows, block, r, k, end);
    }
  }
}

}  // namespace strata::quantize
