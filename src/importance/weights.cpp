// Moments in two passes (mean, then deviation), so that a large mean does not drown the deviation.
// Rows are read as f32 a row at a time; nothing of the size of a matrix is made for dense models.
#include "importance/weights.h"

#include <algorithm>
#include <cmath>

#include "core/checked.h"
#include "core/threads.h"
#include "quantize/scan.h"

namespace strata::importance {
namespace {

constexpr std::size_t kRows = 64;  // rows of a piece of work

/// A deviation this small beside the magnitudes is the rounding of equal weights.
constexpr double kEqual = 1e-12;

// Four sums side by side, so that an addition need not wait for the one before it.
constexpr std::size_t kLanes = 4;

double add_lanes(const double (&lanes)[kLanes]) { return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]); }

/// Sum of f(w) over a row.
template <class F>
double sum_row(std::span<const float> row, F f) {
  double lanes[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= row.size(); i += kLanes)
    for (std::size_t j = 0; j < kLanes; ++j) lanes[j] += f(static_cast<double>(row[i + j]));
  for (; i < row.size(); ++i) lanes[0] += f(static_cast<double>(row[i]));
  return add_lanes(lanes);
}

WeightMoments merged(std::span<const WeightMoments> parts) {
  WeightMoments all;
  for (const WeightMoments& m : parts) {
    all.count += m.count;
    all.mean += m.mean * m.count;
    all.mean_magnitude += m.mean_magnitude * m.count;
    all.max_magnitude = std::max(all.max_magnitude, m.max_magnitude);
  }
  all.mean /= all.count;
  all.mean_magnitude /= all.count;
  // Sum of squares about the common mean = about each own mean + what the means differ.
  double squares = 0.0;
  for (const WeightMoments& m : parts)
    squares += m.count * (m.deviation * m.deviation + (m.mean - all.mean) * (m.mean - all.mean));
  all.deviation = std::sqrt(squares / all.count);
  if (all.deviation <= kEqual * all.max_magnitude) all.deviation = 0.0;
  return all;
}

WeightMoments moments_of(const DenseLinear& dense) {
  const auto sum = [&](const auto& term) {
    return sum_over_rows(dense.view(), [&](std::span<const float> row) { return sum_row(row, term); });
  };
  WeightMoments m;
  m.count = static_cast<double>(dense.view().weights());
  m.max_magnitude = static_cast<double>(dense.absmax());
  m.mean = sum([](double w) { return w; }) / m.count;
  m.mean_magnitude = sum([](double w) { return std::fabs(w); }) / m.count;
  m.deviation = std::sqrt(sum([mean = m.mean](double w) { return (w - mean) * (w - mean); }) / m.count);
  if (m.deviation <= kEqual * m.max_magnitude) m.deviation = 0.0;
  return m;
}

}  // namespace

double sum_over_rows(const MatrixView& matrix, const std::function<double(std::span<const float>)>& term) {
  std::vector<double> sums(ceil_div(matrix.rows, kRows));
  parallel_for(sums.size(), [&](std::size_t s) {
    std::vector<float> row(matrix.cols);
    for (std::size_t r = s * kRows; r < std::min(matrix.rows, (s + 1) * kRows); ++r) {
      read_row(matrix, r, 0, matrix.cols, row.data());
      sums[s] += term(row);
    }
  });
  double sum = 0.0;
  for (const double s : sums) sum += s;
  return sum;
}

DenseLinear::DenseLinear(const model::Model& model, const model::Linear& linear) : held_(model.weights(linear)) {
  const kernel::Weights weights = held_.view();
  view_ = weights.dense;
  if (weights.stored != nullptr) {
    decoded_.resize(linear.rows * linear.cols);
    parallel_for(linear.rows, [&](std::size_t r) {
      codec::decode_row(*weights.stored, r, 0, linear.cols, decoded_.data() + r * linear.cols);
    });
    view_ = MatrixView::dense(decoded_.data(), linear.rows, linear.cols, DType::f32);
  }
  absmax_ = quantize::checked_absmax(view_, model.path().string(), linear.module + ".weight");
}

BlockWeights::BlockWeights(const model::Model& model, std::size_t block)
    : model_(model), block_(block), linears_(model.architecture().block_linears(block)) {
  for (const model::Linear& linear : linears_) {
    DenseLinear dense(model, linear);
    moments_.push_back(moments_of(dense));
    kept_.emplace_back();
    if (!linear.routed()) kept_.back().emplace(std::move(dense));
  }
  pooled_ = merged(moments_);
}

double BlockWeights::sum_rows(std::size_t i, const std::function<double(std::span<const float>)>& term) const {
  if (kept_[i]) return sum_over_rows(kept_[i]->view(), term);
  return sum_over_rows(DenseLinear(model_, linears_[i]).view(), term);
}

double BlockWeights::count_beyond(std::size_t i, const WeightMoments& moments) const {
  if (moments.deviation == 0.0) return 0.0;
  return sum_rows(i, [&](std::span<const float> row) {
    return sum_row(row, [&](double w) { return std::fabs(w - moments.mean) > moments.deviation ? 1.0 : 0.0; });
  });
}

}  // namespace strata::importance
