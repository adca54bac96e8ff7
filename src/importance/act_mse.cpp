// act_mse: the expected squared error of a linear's output when its inputs are taken as uncorrelated,
// sum_rj E[x_j^2] (w_rj - wq_rj)^2, with round-to-nearest codes wq; relative to the same sum with wq = 0.
#include "importance/signal.h"

namespace strata::importance {

quantize::WeightedError act_mse(const LinearCase& linear, const codec::Codec& codec) {
  return quantize::weighted_error(codec, linear.weights, linear.input_mean_square, linear.fit,
                                  codec::tensor_scale(codec, linear.group_absmax));
}

}  // namespace strata::importance
