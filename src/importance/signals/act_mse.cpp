// act_mse: the expected squared error of a linear's output when its inputs are taken as uncorrelated,
// sum_rj E[x_j^2] (w_rj - wq_rj)^2, with round-to-nearest codes wq; relative to the same sum with wq = 0.
#include "importance/signal.h"

namespace strata::importance {

std::vector<double> act_mse(const LinearInputs& inputs, const ColumnProducts& difference) {
  return weighed(inputs.mean_squares, difference.squares);
}

}  // namespace strata::importance
