// kurtosis: E[(w - mean)^4] / E[(w - mean)^2]^2 over all linears of a block together; 3 for a normal distribution, more
// for heavy tails. 0 for a block of equal weights.
#include "importance/signal.h"

namespace strata::importance {

double kurtosis(const BlockWeights& weights) {
  const WeightMoments& pooled = weights.pooled();
  if (pooled.deviation == 0.0) return 0.0;
  double sum = 0.0;
  for (std::size_t i = 0; i < weights.size(); ++i)
    sum += weights.sum_rows(i, [&](std::span<const float> row) {
      double fourth = 0.0;
      for (const float w : row) {
        const double z = (static_cast<double>(w) - pooled.mean) / pooled.deviation;
        fourth += z * z * z * z;
      }
      return fourth;
    });
  return sum / pooled.count;
}

}  // namespace strata::importance
