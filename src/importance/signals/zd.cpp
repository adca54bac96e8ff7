// zd, the z-score distribution of a block's weights (arXiv 2406.17415): the share with |z| > 1, z = (w - mean) / std,
// mean and (population) std over all linears of the block together. Norms and biases are left out.
#include "importance/signal.h"

namespace strata::importance {

double zd(const BlockWeights& weights) {
  double beyond = 0.0;
  for (std::size_t i = 0; i < weights.size(); ++i) beyond += weights.count_beyond(i, weights.pooled());
  return beyond / weights.pooled().count;
}

}  // namespace strata::importance
