// H = sum of x x^T over the inputs x of a linear: what rounding errors of its weights cost together, tr(dW H dW^T).
// And its factorization for error feedback.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/matrix.h"
#include "kernel/matmul.h"

namespace strata::quantize {

/// Symmetric (size, size), kept in f32. Sums do not depend on the number of threads, but on how rows are cut into
/// calls.
class Hessian {
 public:
  explicit Hessian(std::size_t size);

  /// Adds rows (tokens, size). Precision::bf16: of the rows rounded to bf16, which is what a forward pass at that
  /// precision multiplies with; the sum stays positive semidefinite.
  void add(const float* rows, std::size_t tokens, kernel::Precision precision);

  std::size_t size() const { return size_; }
  std::size_t tokens() const { return tokens_; }
  const float* row(std::size_t i) const { return sums_.data() + i * size_; }
  float at(std::size_t i, std::size_t j) const { return sums_[i * size_ + j]; }
  std::vector<float> diagonal() const;

 private:
  std::size_t size_, tokens_ = 0;
  std::vector<float> sums_;
};

/// With the columns of H in `order`: H + damping = (1 + U) D (1 + U)^T with U strictly upper triangular and D diagonal.
/// Rounding columns in rising order, column k to the weight w_k + sum over i < k of (w_i - q_i) U[i, k] is GPTQ (arXiv
/// 2210.17323) without an inverse (arXiv 2307.13304, theorem 6), and tr(dW (H + damping) dW^T) is then the sum of D_k
/// times its squared residuals.
struct Feedback {
  std::size_t size = 0;
  std::vector<float> rows;             ///< (size, size): rows[k, i] = U[i, k] for i < k
  std::vector<float> variance;         ///< D: of input k given those of the later columns
  double damping = 0.0;                ///< what was added to the diagonal, as a share of its mean
  double added = 0.0;                  ///< the same as it was added
  std::vector<std::uint32_t> order{};  ///< position -> column; empty: rising
};

/// `damping` (> 0, a share of the mean diagonal) is raised tenfold until the factorization succeeds. Throws Error when
/// the Hessian is not finite. An all-zero Hessian gives no feedback and equal variances. order: as in Feedback.
Feedback factorize(const Hessian& hessian, double damping, std::vector<std::uint32_t> order = {});

/// dw H dw^T for every row dw of dW (rows, size) by the factors of H, with half of the products that H itself takes:
/// the sum of D_k (dw (1 + U))_k^2, less what damping adds. Precise while damping is a small share of the diagonal.
std::vector<double> factored_errors(const Feedback& feedback, std::span<const float> differences, std::size_t rows);
/// The same by H, in f32 products and double sums.
std::vector<double> hessian_errors(const Hessian& hessian, std::span<const float> differences, std::size_t rows);
/// Their sum, tr(dW H dW^T).
double hessian_error(const Hessian& hessian, std::span<const float> differences, std::size_t rows);

}  // namespace strata::quantize
