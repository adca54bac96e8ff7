// Some rows of a linear while their codes are being chosen, and the steps that choose them.
// Rows do not depend on each other: a stretch of them is the unit of parallel work.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "codec/codec.h"
#include "quantize/gptq.h"

namespace strata::quantize {

/// What all rows of a linear share.
struct RoundingProblem {
  const codec::Codec& codec;
  const MatrixView& weights;
  const Hessian& hessian;
  const Feedback& feedback;
  std::vector<float> importance;  ///< diag(H)
  codec::ScaleFit fit;
  float tensor_scale;

  std::size_t cols() const { return weights.cols; }
  std::size_t groups() const { return codec.groups_per_row(cols()); }
  bool whole_rows() const { return codec.group_size == 0; }  ///< one scale a row
  std::size_t group_of(std::size_t col) const { return whole_rows() ? 0 : col / codec.group_size; }
  /// Columns that are rounded between two matrix products: whole fits of the codec, unless it has one scale a row.
  std::size_t block_width() const;
};

/// Rows [first, first + count) of a linear while their codes are chosen.
struct RoundingRows {
  RoundingRows(const RoundingProblem& problem, std::size_t first_row, std::size_t row_count);

  std::size_t first, count, cols, groups_per_row;
  std::vector<float> weights;  ///< (count, cols)
  std::vector<float> wanted;   ///< what was rounded: the weight and the feedback on it
  std::vector<float> errors;   ///< weight - decoded
  std::vector<double> costs;   ///< of each row after round_with_feedback: tr(dw (H + damping) dw^T)
  std::vector<std::uint8_t> codes;
  std::vector<codec::GroupParams> groups;  ///< (count, groups_per_row)

  /// Takes row `r` (counted from `first`) over from `other`, which holds the same rows.
  void take(const RoundingRows& other, std::size_t r);
};

/// Round to nearest, scales fitted under diag(H).
void round_nearest(const RoundingProblem& problem, RoundingRows& rows);
/// Rounds the columns (or vectors of columns) in the order of the feedback, each with the feedback of the errors before
/// it. Scales are fitted when their first column is reached; those of codecs with one scale a row beforehand.
void round_with_feedback(const RoundingProblem& problem, RoundingRows& rows);
/// One pass of coordinate descent: every scale (of codecs whose groups have no other parameter) and every code in turn
/// goes where tr(dW H dW^T) is least while all others stay. No row gets worse.
void refine(const RoundingProblem& problem, RoundingRows& rows);

}  // namespace strata::quantize
