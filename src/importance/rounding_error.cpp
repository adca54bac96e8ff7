// Rows are rounded in stretches on all threads; stretches are cut by rows alone and added in order, so that the thread
// count changes nothing.
#include "importance/rounding_error.h"

#include <algorithm>
#include <numeric>

#include "core/checked.h"
#include "core/threads.h"

namespace strata::importance {
namespace {

constexpr std::size_t kPieceRows = 8;    // rows of a piece of work
constexpr std::size_t kHeldRows = 2048;  // rows that are held for D^T D
constexpr std::size_t kSampledWeights = 1 << 16, kSampledRows = 64;

/// row_of(r, out): row r of D.
template <class RowOf>
ColumnProducts products_of(std::size_t rows, std::size_t cols, const ProductsWanted& wanted, const RowOf& row_of) {
  const std::span<const double> weights = wanted.weights_of_rows;
  const std::size_t sums_of_row = weights.empty() ? cols : 2 * cols;  // the squares, then the weighted ones
  std::vector<double> squares(sums_of_row, 0.0);
  ColumnProducts result;
  if (wanted.products) result.products.emplace(cols);
  std::vector<float> held(wanted.products ? std::min(rows, kHeldRows) * cols : 0);
  for (std::size_t begin = 0; begin < rows; begin += kHeldRows) {
    const std::size_t count = std::min(kHeldRows, rows - begin), stretches = ceil_div(count, kPieceRows);
    std::vector<std::vector<double>> sums(stretches);
    parallel_for(stretches, [&](std::size_t s) {
      std::vector<float> row(cols);
      sums[s].assign(sums_of_row, 0.0);
      for (std::size_t r = s * kPieceRows; r < std::min(count, (s + 1) * kPieceRows); ++r) {
        float* const d = wanted.products ? &held[r * cols] : row.data();
        row_of(begin + r, std::span(d, cols));
        for (std::size_t c = 0; c < cols; ++c) {
          const double square = static_cast<double>(d[c]) * static_cast<double>(d[c]);
          sums[s][c] += square;
          if (!weights.empty()) sums[s][cols + c] += weights[begin + r] * square;
        }
      }
    });
    for (const std::vector<double>& sum : sums)
      for (std::size_t c = 0; c < sums_of_row; ++c) squares[c] += sum[c];
    if (wanted.products) result.products->add(held.data(), count, kernel::Precision::f32);
  }
  const auto middle = squares.begin() + static_cast<std::ptrdiff_t>(cols);
  result.squares.assign(squares.begin(), middle);
  result.weighted_squares.assign(middle, squares.end());
  return result;
}

}  // namespace

std::size_t sampled_step(const MatrixView& weights) {
  const std::size_t wanted = std::max(kSampledRows, kSampledWeights / std::max<std::size_t>(1, weights.cols));
  return std::max<std::size_t>(1, weights.rows / wanted);
}

MatrixView sampled_rows(MatrixView weights) {
  const std::size_t step = sampled_step(weights);
  weights.rows = ceil_div(weights.rows, step);
  weights.row_stride_bytes *= step;
  return weights;
}

RowSample::RowSample(const MatrixView& linear, std::span<const double> weights_of_rows)
    : rows(sampled_rows(linear)),
      all_rows(static_cast<double>(linear.rows) / static_cast<double>(rows.rows)),
      all_weights(all_rows) {
  const std::size_t step = sampled_step(linear);
  for (std::size_t r = 0; r < weights_of_rows.size(); r += step) weights.push_back(weights_of_rows[r]);
  const double sampled = std::accumulate(weights.begin(), weights.end(), 0.0);
  if (sampled > 0.0) all_weights = std::accumulate(weights_of_rows.begin(), weights_of_rows.end(), 0.0) / sampled;
}

ColumnProducts rounding_error(const codec::Codec& codec, const MatrixView& weights, std::span<const float> importance,
                              codec::ScaleFit fit, float tensor_scale, const ProductsWanted& wanted) {
  return products_of(weights.rows, weights.cols, wanted, [&](std::size_t r, std::span<float> out) {
    std::vector<float> w(weights.cols);
    std::vector<codec::GroupParams> groups(codec.groups_per_row(weights.cols));
    codec::widen_row(weights, r, w);
    codec::fit_row(codec, w, importance, fit, tensor_scale, groups);
    codec::round_trip_row(codec, w, importance, groups, out);
    for (std::size_t c = 0; c < out.size(); ++c) out[c] = w[c] - out[c];
  });
}

ColumnProducts no_error(std::size_t cols, const ProductsWanted& wanted) {
  ColumnProducts none{std::vector<double>(cols, 0.0), {}, {}};
  if (!wanted.weights_of_rows.empty()) none.weighted_squares.assign(cols, 0.0);
  if (wanted.products) none.products.emplace(cols);
  return none;
}

ColumnProducts column_products(const MatrixView& weights, const ProductsWanted& wanted) {
  return products_of(weights.rows, weights.cols, wanted,
                     [&](std::size_t r, std::span<float> out) { codec::widen_row(weights, r, out); });
}

void add_shares(const ColumnProducts& energy, std::span<const double> shares, ColumnProducts& error) {
  for (std::size_t c = 0; c < shares.size(); ++c) {
    error.squares[c] += shares[c] * energy.squares[c];
    if (!error.weighted_squares.empty()) error.weighted_squares[c] += shares[c] * energy.weighted_squares[c];
    if (error.products) error.products->add_square(c, shares[c] * energy.squares[c]);
  }
}

std::vector<double> weighed(std::span<const std::vector<double>> weights, const std::vector<double>& squares) {
  std::vector<double> sums;
  for (const std::vector<double>& of_part : weights) {
    double sum = 0.0;
    for (std::size_t c = 0; c < of_part.size(); ++c) sum += of_part[c] * squares[c];
    sums.push_back(sum);
  }
  return sums;
}

}  // namespace strata::importance
