// lim, the layer input modification score (arXiv 2406.17415): minus the cosine between what enters a block and what
// leaves it. Here the mean over tokens of each token's cosine; sequences are equally long, so it is one over sequences.
#include "importance/signal.h"
#include "importance/signals/cosine.h"

namespace strata::importance {

double lim(const BlockRows& rows) {
  double sum = 0.0;
  for (std::size_t t = 0; t < rows.tokens; ++t)
    sum += products(rows.before + t * rows.size, rows.after + t * rows.size, rows.size).cosine();
  return -sum / static_cast<double>(rows.tokens);
}

}  // namespace strata::importance
