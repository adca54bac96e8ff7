// Round to nearest and error feedback. The feedback of all columns before a block is one matrix product with the
// factor's rows; within the block it is added column by column.
#include "quantize/rounding_rows.h"

#include <algorithm>

#include "codec/chosen_rows.h"
#include "kernel/dispatch.h"

namespace strata::quantize {
namespace {

constexpr std::size_t kBlock = 128;

/// One row of a block: the columns [begin, begin + size), the weights that feedback asks for there, and what all rows
/// share: the factor, and what an error of each column costs.
struct BlockRow {
  std::size_t row, begin, size;
  float* wanted;
  const float* factor;  ///< (size, size): factor[i, k] is U of the block
  const float* cost;
};

/// The feedback of an error of column k to the columns [from, to) of the block.
void feed_back(const BlockRow& block, std::size_t k, float error, std::size_t from, std::size_t to) {
  const float* const factor = block.factor + k * block.size;
  for (std::size_t j = from; j < to; ++j) block.wanted[j] += error * factor[j];
}

/// What the residual of a column costs: what it lacks of the weight that was wanted there, feedback included.
void add_cost(const RoundingProblem& p, RoundingRows& rows, const BlockRow& block, std::size_t k) {
  const std::size_t at = block.row * rows.cols + block.begin + k;
  const double residual = static_cast<double>(rows.errors[at]) - static_cast<double>(rows.weights[at]) +
                          static_cast<double>(block.wanted[k]);
  rows.costs[block.row] += static_cast<double>(p.feedback.variance[block.begin + k]) * residual * residual;
}

/// Columns [from, to) of the block, all of one group, of a codec that rounds every weight on its own. Feedback is added
/// to whole vectors of columns, so that each is read as it was stored: the factor is 0 where nothing is to be added.
void round_group(const RoundingProblem& p, RoundingRows& rows, const BlockRow& block, std::size_t from,
                 std::size_t to) {
  constexpr std::size_t kTogether = 16;
  const kernel::RowKernel& kernel = kernel::selected_variant().rows;
  const std::size_t at = block.row * rows.cols + block.begin;
  const codec::GroupParams& group = rows.groups[block.row * rows.groups_per_row + p.group_of(block.begin + from)];
  for (std::size_t k = from; k < to; ++k) {
    const std::uint8_t code = p.codec.round(p.codec, block.wanted[k], group);
    const float error = rows.weights[at + k] - p.codec.value(p.codec, code, group);
    rows.codes[at + k] = code;
    rows.errors[at + k] = error;
    rows.wanted[at + k] = block.wanted[k];
    add_cost(p, rows, block, k);
    const std::size_t next = (k + 1) / kTogether * kTogether;
    if (k + 1 < block.size)
      kernel.add_scaled(block.wanted + next, block.factor + k * block.size + next, block.size - next, error);
  }
}

/// Columns [from, to) of the block, a vector of the codec after the other, under parameters that are already chosen.
/// The weights of a vector are rounded to what would leave no error in any of them: each is asked for its wanted value
/// as if those before it got theirs.
void round_columns(const RoundingProblem& p, RoundingRows& rows, const BlockRow& block, std::size_t from,
                   std::size_t to) {
  const std::size_t at = block.row * rows.cols + block.begin, vector = p.codec.vector_size;
  if (vector == 1) {
    const std::size_t step = p.whole_rows() ? to - from : p.codec.group_size;
    for (std::size_t k = from; k < to; k += step) round_group(p, rows, block, k, std::min(to, k + step));
    return;
  }
  const codec::GroupParams* const groups = rows.groups.data() + block.row * rows.groups_per_row;
  for (std::size_t k = from; k < to; k += vector) {
    const codec::GroupParams& group = groups[p.group_of(block.begin + k)];
    for (std::size_t i = k; i + 1 < k + vector; ++i)
      feed_back(block, i, rows.weights[at + i] - block.wanted[i], i + 1, k + vector);
    codec::round_vector(p.codec, block.wanted + k, block.cost + k, group, rows.codes.data() + at + k);
    float missed[codec::kMostVector];
    for (std::size_t i = k; i < k + vector; ++i) {
      const float value = p.codec.value(p.codec, rows.codes[at + i], group);
      rows.errors[at + i] = rows.weights[at + i] - value;
      missed[i - k] = block.wanted[i] - value;
    }
    for (std::size_t i = k; i < k + vector; ++i) {
      feed_back(block, i, missed[i - k], i + 1, k + vector);
      feed_back(block, i, rows.errors[at + i], k + vector, block.size);
      rows.wanted[at + i] = block.wanted[i];
      add_cost(p, rows, block, i);
    }
  }
}

/// What an error of each column costs when the later ones of its vector cannot make up for it: the diagonal of the
/// factor's D, taken a vector at a time.
std::vector<float> column_costs(const RoundingProblem& p, std::size_t begin, std::size_t size, const float* factor) {
  const std::size_t vector = p.codec.vector_size;
  const float* const variance = p.feedback.variance.data() + begin;
  std::vector<float> costs(variance, variance + size);
  for (std::size_t k = 0; k < size; ++k)
    for (std::size_t j = k + 1; j < (k / vector + 1) * vector; ++j)
      costs[k] += factor[k * size + j] * factor[k * size + j] * variance[j];
  return costs;
}

void round_block(const RoundingProblem& p, RoundingRows& rows, const BlockRow& block) {
  if (p.whole_rows()) return round_columns(p, rows, block, 0, block.size);
  const std::size_t unit = p.codec.fit_size(rows.cols);
  for (std::size_t k = 0; k < block.size; k += unit) {
    const std::size_t count = std::min(unit, block.size - k);
    const std::span<codec::GroupParams> groups(
        rows.groups.data() + block.row * rows.groups_per_row + p.group_of(block.begin + k),
        p.codec.groups_per_row(count));
    codec::fit_row(p.codec, {block.wanted + k, count}, {block.cost + k, count}, p.fit, p.tensor_scale, groups);
    round_columns(p, rows, block, k, k + count);
  }
}

void fit_original(const RoundingProblem& p, RoundingRows& rows) {
  for (std::size_t r = 0; r < rows.count; ++r)
    codec::fit_row(p.codec, std::span(rows.weights).subspan(r * rows.cols, rows.cols), p.importance, p.fit,
                   p.tensor_scale, std::span(rows.groups).subspan(r * rows.groups_per_row, rows.groups_per_row));
}

/// Columns in rising order; with one scale a row, its parameters are chosen already.
void round_rising(const RoundingProblem& p, RoundingRows& rows) {
  const std::size_t n = rows.cols, width = std::min(p.block_width(), n);
  std::vector<float> wanted(rows.count * width), factor(width * width);
  for (std::size_t begin = 0; begin < n; begin += width) {
    const std::size_t size = std::min(width, n - begin);
    const float* const u = p.feedback.rows.data() + begin * n;
    if (begin == 0) {
      std::fill(wanted.begin(), wanted.end(), 0.0f);
    } else {
      const MatrixView before = MatrixView::strided(u, size, begin, n);
      kernel::matmul(rows.errors.data(), n, rows.count, {before, nullptr}, wanted.data(), size, kernel::Precision::f32);
    }
    for (std::size_t i = 0; i < size; ++i)
      for (std::size_t k = 0; k < size; ++k) factor[i * size + k] = u[k * n + begin + i];
    const std::vector<float> costs = column_costs(p, begin, size, factor.data());
    for (std::size_t r = 0; r < rows.count; ++r) {
      float* const row = wanted.data() + r * size;
      for (std::size_t k = 0; k < size; ++k) row[k] += rows.weights[r * n + begin + k];
      round_block(p, rows, {r, begin, size, row, factor.data(), costs.data()});
    }
  }
}

}  // namespace

std::size_t RoundingProblem::block_width() const {
  const std::size_t unit = whole_rows() ? kBlock : codec.fit_size(cols());
  return unit * std::max<std::size_t>(1, kBlock / unit);
}

RoundingRows::RoundingRows(const RoundingProblem& problem, std::size_t first_row, std::size_t row_count)
    : first(first_row),
      count(row_count),
      cols(problem.cols()),
      groups_per_row(problem.groups()),
      weights(count * cols),
      wanted(count * cols),
      errors(count * cols),
      costs(count),
      codes(count * cols),
      groups(count * groups_per_row) {
  for (std::size_t r = 0; r < count; ++r)
    codec::widen_row(problem.weights, first + r, std::span(weights).subspan(r * cols, cols));
}

void RoundingRows::take(const RoundingRows& other, std::size_t r) {
  std::copy_n(other.wanted.data() + r * cols, cols, wanted.data() + r * cols);
  std::copy_n(other.errors.data() + r * cols, cols, errors.data() + r * cols);
  std::copy_n(other.codes.data() + r * cols, cols, codes.data() + r * cols);
  std::copy_n(other.groups.data() + r * groups_per_row, groups_per_row, groups.data() + r * groups_per_row);
}

void round_nearest(const RoundingProblem& p, RoundingRows& rows) {
  fit_original(p, rows);
  rows.wanted = rows.weights;
  for (std::size_t r = 0; r < rows.count; ++r) {
    const std::span weights = std::span(rows.weights).subspan(r * rows.cols, rows.cols);
    const std::span errors = std::span(rows.errors).subspan(r * rows.cols, rows.cols);
    const std::span codes = std::span(rows.codes).subspan(r * rows.cols, rows.cols);
    const std::span groups = std::span(rows.groups).subspan(r * rows.groups_per_row, rows.groups_per_row);
    codec::round_row(p.codec, weights, p.importance, groups, codes);
    codec::values_row(p.codec, codes, groups, errors);
    for (std::size_t i = 0; i < rows.cols; ++i) errors[i] = weights[i] - errors[i];
  }
}

void round_with_feedback(const RoundingProblem& p, RoundingRows& rows) {
  if (p.whole_rows()) fit_original(p, rows);
  const std::vector<std::uint32_t>& order = p.feedback.order;
  if (order.empty()) return round_rising(p, rows);
  const std::size_t n = rows.cols, size = p.whole_rows() ? n : p.codec.group_size;
  RoundingRows ordered = rows;
  for (std::size_t r = 0; r < rows.count; ++r)
    for (std::size_t k = 0; k < n; ++k) ordered.weights[r * n + k] = rows.weights[r * n + order[k]];
  round_rising(p, ordered);
  rows.costs = ordered.costs;
  for (std::size_t r = 0; r < rows.count; ++r) {
    for (std::size_t k = 0; k < n; ++k) {
      const std::size_t from = r * n + k, to = r * n + order[k];
      rows.wanted[to] = ordered.wanted[from];
      rows.errors[to] = ordered.errors[from];
      rows.codes[to] = ordered.codes[from];
    }
    for (std::size_t k = 0; k < n; k += size)
      rows.groups[r * rows.groups_per_row + p.group_of(order[k])] =
          ordered.groups[r * rows.groups_per_row + p.group_of(k)];
  }
}

}  // namespace strata::quantize
