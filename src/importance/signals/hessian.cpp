// hessian: the expected squared error of a linear's output, tr(dW H dW^T) / tokens with H = X^T X of its inputs and
// dW = W - W' under round to nearest; relative to that with W' = 0. It equals act_mse when inputs are uncorrelated.
#include "core/error.h"
#include "core/threads.h"
#include "importance/signal.h"

namespace strata::importance {

std::vector<double> hessian(const LinearInputs& inputs, const ColumnProducts& difference) {
  // tr(D H D^T) = sum over i, j of (D^T D)[i, j] H[i, j]: the product of D is made once for all parts.
  if (inputs.hessians.empty()) return act_mse(inputs, difference);
  STRATA_CHECK(difference.products.has_value());
  const quantize::Hessian& products = *difference.products;
  const std::size_t size = products.size();
  std::vector<double> errors, of_row(size);
  for (const quantize::Hessian& h : inputs.hessians) {
    parallel_for(size, [&](std::size_t i) {
      double sum = 0.0;
      for (std::size_t j = 0; j < size; ++j)
        sum += static_cast<double>(products.at(i, j)) * static_cast<double>(h.at(i, j));
      of_row[i] = sum;
    });
    double error = 0.0;
    for (const double sum : of_row) error += sum;
    // Both matrices are positive semidefinite: only the rounding of the sums can give less than 0.
    errors.push_back(std::max(0.0, error) / static_cast<double>(h.tokens()));
  }
  return errors;
}

}  // namespace strata::importance
