// The asymmetric correction (arXiv 2504.02692): a linear should put out what the original puts out on the original's
// inputs, but its inputs come from the rounded model. Formulas: docs/methods.md.
#pragma once
#include <array>
#include <cstddef>
#include <span>
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
  /// Adds the sums over other tokens.
  CrossMoment& operator+=(const CrossMoment& other);
  /// The bytes of the sums, for another rank.
  std::array<std::span<std::byte>, 1> memory() { return {std::as_writable_bytes(std::span(sums_))}; }

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
    inputs,  ///< (~x - x) x^T with ~x the original's inputs; serves all linears that read x
    output,  ///< (~y - r) x^T of one linear, with r what its output is added to, and ~y that sum in the original
  };
  Of of;
  CrossMoment moment;
};

/// The weights to round instead of `weights` W (rows, cols), so that rounding them under H minimizes the squared
/// distance between their outputs for x and the original's outputs: W + (W moment) (H + damping)^-1 for a drift of
/// inputs, and W + (moment - W H) (H + damping)^-1 for a drift of the output. feedback: the factorization of H +
/// damping in rising order. Of the result only rows [first, end) are made, to the next multiples of 64.
std::vector<float> corrected_weights(const MatrixView& weights, const Drift& drift, const Hessian& hessian,
                                     const Feedback& feedback, std::size_t first, std::size_t end);
inline std::vector<float> corrected_weights(const MatrixView& weights, const Drift& drift, const Hessian& hessian,
                                            const Feedback& feedback) {
  return corrected_weights(weights, drift, hessian, feedback, 0, weights.rows);
}

}  // namespace strata::quantize
