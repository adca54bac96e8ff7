// The asymmetric correction: what a linear should put out is what the original puts out on the original's inputs, but
// its inputs come from the rounded model (arXiv 2504.02692). Formulas: docs/methods.md.
#pragma once
#include <cstddef>
#include <optional>
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

/// Over the tokens of the calibration set, for linears with the same inputs x; ~x are the original's.
struct Drift {
  CrossMoment inputs;                   ///< (~x - x) x^T
  std::optional<CrossMoment> residual;  ///< (~h - h) x^T: h is what the linear's output will be added to
};

/// The weights to round instead of `weights` (rows, cols): the minimizer of the squared distance between W x (+ h) and
/// what the original has there, W + (W inputs + residual) (H + damping)^-1; rounding them under H minimizes that
/// distance. feedback: of the Hessian in rising order, with the damping. residual: whether the output is added to h.
std::vector<float> corrected_weights(const MatrixView& weights, const Drift& drift, const Feedback& feedback);

}  // namespace strata::quantize
