// Coordinate descent on tr(dW H dW^T): with all else fixed it is a parabola in a scale, and in one weight or the vector
// that a codec rounds together, whose best codes are the nearest to its lowest point. Products with H are made a block
// of columns at a time.
#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>

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

/// Columns [begin, begin + size) of a row. gradient: (dW H) there, kept up to date; h: those rows and columns of H.
struct RefinedRow {
  std::size_t row, begin, size;
  float* gradient;
  const float* h;
  const float* inverses;  ///< of H's blocks on the diagonal that are vectors of the codec
};

void refine_scale(const RoundingProblem& p, RoundingRows& rows, const RefinedRow& block, std::size_t from,
                  std::size_t to, const MovableScales& scales) {
  const std::size_t at = block.row * rows.cols + block.begin;
  codec::GroupParams& group = rows.groups[block.row * rows.groups_per_row + p.group_of(block.begin + from)];
  std::vector<float> units(to - from), product(block.size, 0.0f);
  const codec::GroupParams unit = unit_scale(group);
  double slope = 0.0, curvature = 0.0;
  for (std::size_t k = from; k < to; ++k) {
    const float u = units[k - from] = p.codec.value(p.codec, rows.codes[at + k], unit);
    slope += static_cast<double>(u) * static_cast<double>(block.gradient[k]);
    const float* const h = block.h + k * block.size;
    for (std::size_t j = 0; j < block.size; ++j) product[j] += u * h[j];
  }
  for (std::size_t k = from; k < to; ++k)
    curvature += static_cast<double>(units[k - from]) * static_cast<double>(product[k]);
  const float change = better_scale(scales, group, slope, curvature);
  if (change == 0.0f) return;
  for (std::size_t k = from; k < to; ++k)
    rows.errors[at + k] = rows.weights[at + k] - p.codec.value(p.codec, rows.codes[at + k], group);
  for (std::size_t j = 0; j < block.size; ++j) block.gradient[j] -= change * product[j];
}

void refine_codes(const RoundingProblem& p, RoundingRows& rows, const RefinedRow& block, std::size_t from,
                  std::size_t to) {
  const std::size_t at = block.row * rows.cols + block.begin, vector = p.codec.vector_size;
  float lowest[codec::kMostVector], costs[codec::kMostVector], change[codec::kMostVector];
  std::uint8_t codes[codec::kMostVector];
  for (std::size_t k = from; k < to; k += vector) {
    const codec::GroupParams& group = rows.groups[block.row * rows.groups_per_row + p.group_of(block.begin + k)];
    for (std::size_t i = 0; i < vector; ++i) {
      lowest[i] = rows.weights[at + k + i] - rows.errors[at + k + i];
      for (std::size_t j = 0; j < vector; ++j)
        lowest[i] += block.inverses[(k + i) * vector + j] * block.gradient[k + j];
      costs[i] = block.h[(k + i) * block.size + k + i];
    }
    codec::round_vector(p.codec, lowest, costs, group, codes);
    if (std::equal(codes, codes + vector, rows.codes.data() + at + k)) continue;
    float slope = 0.0f, own = 0.0f;
    for (std::size_t i = 0; i < vector; ++i) {
      change[i] = rows.weights[at + k + i] - p.codec.value(p.codec, codes[i], group) - rows.errors[at + k + i];
      slope += change[i] * block.gradient[k + i];
      for (std::size_t j = 0; j <= i; ++j)
        own += (i == j ? 1.0f : 2.0f) * change[i] * change[j] * block.h[(k + i) * block.size + k + j];
    }
    if (!(2.0f * slope + own < -kWorthwhile * own)) continue;
    for (std::size_t i = 0; i < vector; ++i) {
      rows.codes[at + k + i] = codes[i];
      rows.errors[at + k + i] += change[i];
      const float* const column = block.h + (k + i) * block.size;
      for (std::size_t j = 0; j < block.size; ++j) block.gradient[j] += change[i] * column[j];
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
    for (std::size_t r = 0; r < rows.count; ++r) {
      const RefinedRow block{r, begin, size, gradient.data() + r * size, h.data(), inverses.data()};
      for (std::size_t k = 0; k < size; k += step) {
        const std::size_t end = std::min(size, k + step);
        if (!p.whole_rows() && scales.any()) refine_scale(p, rows, block, k, end, scales);
        refine_codes(p, rows, block, k, end);
      }
    }
  }
}

}  // namespace strata::quantize
