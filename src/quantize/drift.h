// The asymmetric correction: what a linear should put out is what the original puts out on the original's inputs, but
// its inputs come from the rounded model (arXiv 2504.02692). Formulas: docs/methods.md.
#pragma once
#include <cstddef>
#include <vector>

#include "core/matrix.h"
#include "quantize/hessian.h"

namespace strata::quantize {

/// sum over tokens of a b^T, (rows, cols), in f32. Sums do not depend on the number of threads, but on how tokens are
/// cut into calls.
class CrossMoment {
 public:
  CrossMoment(std::size_t rows, std::size_t cols);

  /// a: (tokens, rows), b: (tokens, cols), dense.
  void add(const float* a, const float* b, std::size_t tokens, kernel::Precision precision);

  std::size_t rows() const { return rows_; }
  std::size_t cols() const { return cols_; }
  const std::vector<float>& sums() const { return sums_; }

 private:
  std::size_t rows_, cols_;
  std::vector<float> sums_;
};

/// How far the rounded model is from the original, over the tokens of the calibration set, at a site with inputs x.
struct Drift {
  enum class Of {
    inputs,  ///< (~x - x) x^T, ~x the original's inputs: serves all linears that read them
    output,  ///< (~y - y) x^T of one linear: y is what it makes of x with its original weights, and what it is added to
  };
  Of of;
  CrossMoment moment;
};

/// The weights to round instead of `weights` (rows, cols): the minimizer of the squared distance between what they make
/// of x and what the original has there, W + (W moment) (H + damping)^-1 for a drift of inputs, W + moment
/// (H + damping)^-1 for one of the output; rounding them under H minimizes that distance. feedback: of the Hessian in
/// rising order, with the damping.
std::vector<float> corrected_weights(const MatrixView& weights, const Drift& drift, const Feedback& feedback);

}  // namespace strata::quantize
