// extremal: max|w| / mean|w| over all linears of a block together: how far the largest weight stretches the grid.
// 0 for a block of zeros.
#include "importance/signal.h"

namespace strata::importance {

double extremal(const BlockWeights& weights) {
  const WeightMoments& pooled = weights.pooled();
  return pooled.mean_magnitude > 0.0 ? pooled.max_magnitude / pooled.mean_magnitude : 0.0;
}

}  // namespace strata::importance
