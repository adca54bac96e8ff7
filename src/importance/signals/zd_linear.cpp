// zd_linear: the share of weights with |z| > 1 of each linear by its own mean and std, mean over the block's linears,
// large and small counting alike. Unlike zd, it does not see that linears of a block differ in their spread.
#include "importance/signal.h"

namespace strata::importance {

double zd_linear(const BlockWeights& weights) {
  double sum = 0.0;
  for (std::size_t i = 0; i < weights.size(); ++i)
    sum += weights.count_beyond(i, weights.moments(i)) / weights.moments(i).count;
  return sum / static_cast<double>(weights.size());
}

}  // namespace strata::importance
