// H = sum of x x^T over the inputs x of a linear, which says what rounding errors dW of its weights cost together,
// tr(dW H dW^T); and the factorization of H for error feedback.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/matrix.h"
#include "kernel/matmul.h"

namespace strata::quantize {

/// H, symmetric (size, size), in f32. The sums do not depend on the number of threads, but on how rows are cut into
/// calls.
class Hessian {
 public:
  explicit Hessian(std::size_t size);

  /// Adds the products of rows (tokens, size). Precision::bf16 rounds the rows to bf16 first, which is what a forward
  /// pass at that precision multiplies with; the sum stays positive semidefinite.
  void add(const float* rows, std::size_t tokens, kernel::Precision precision);
  /// The same below and on the diagonal alone, for many sums in a row: call mirror() before anything is read.
  void add_lower(const float* rows, std::size_t tokens, kernel::Precision precision);
  void mirror();

  /// Adds the sums of other rows, below and on the diagonal.
  Hessian& operator+=(const Hessian& other);
  /// The bytes of the sums, for another rank.
  std::array<std::span<std::byte>, 2> memory();

  /// Adds to the diagonal: what an input varies by on its own.
  void add_square(std::size_t i, double square) { sums_[i * size_ + i] += static_cast<float>(square); }

  std::size_t size() const { return size_; }
  std::size_t tokens() const { return tokens_; }
  const float* row(std::size_t i) const { return sums_.data() + i * size_; }
  float at(std::size_t i, std::size_t j) const { return sums_[i * size_ + j]; }
  std::vector<float> diagonal() const;

 private:
  std::size_t size_, tokens_ = 0;
  std::vector<float> sums_;
};

/// The factors of H with its columns in `order`: H + damping = (1 + U) D (1 + U)^T with U strictly upper triangular and
/// D diagonal. Rounding columns in rising order, column k to the weight w_k + sum over i < k of (w_i - q_i) U[i, k] is
/// GPTQ (arXiv 2210.17323) without an inverse (arXiv 2307.13304, theorem 6), and tr(dW (H + damping) dW^T) is then the
/// sum of D_k times its squared residuals.
struct Feedback {
  std::size_t size = 0;
  std::vector<float> rows;             ///< (size, size): rows[k, i] = U[i, k] for i < k
  std::vector<float> variance;         ///< D: the variance of input k when those of the later columns are known
  double damping = 0.0;                ///< what was added to the diagonal, as a share of its mean
  double added = 0.0;                  ///< what was added to the diagonal, as a number
  std::vector<std::uint32_t> order{};  ///< the column at each position; empty for rising order
};

/// The factors of a Hessian. `damping` (> 0, a share of the mean diagonal) is raised tenfold until it succeeds. Throws
/// Error when the Hessian is not finite. An all-zero Hessian gives no feedback and equal variances. order: as in
/// Feedback.
Feedback factorize(const Hessian& hessian, double damping, std::vector<std::uint32_t> order = {});

/// dw H dw^T for every row dw of `differences` (rows, size) by the factors of H, with half of the products that H
/// takes: the sum of D_k (dw (1 + U))_k^2, less what damping adds. Precise while damping is a small share of the
/// diagonal.
std::vector<double> factored_errors(const Feedback& feedback, std::span<const float> differences, std::size_t rows);
/// dw H dw^T for every row dw of `differences` (rows, size) by H itself, in f32 products and double sums.
std::vector<double> hessian_errors(const Hessian& hessian, std::span<const float> differences, std::size_t rows);
/// tr(dW H dW^T): the sum of hessian_errors.
double hessian_error(const Hessian& hessian, std::span<const float> differences, std::size_t rows);

}  // namespace strata::quantize
