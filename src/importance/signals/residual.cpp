// residual: the magnitude of the residual stream after a block, the root mean square of a token's hidden state, mean
// over tokens. The larger the stream is, the smaller a share of it an error of a given size is.
#include <cmath>

#include "importance/signal.h"
#include "importance/signals/cosine.h"

namespace strata::importance {

double residual(const BlockRows& rows) {
  double sum = 0.0;
  for (std::size_t t = 0; t < rows.tokens; ++t) {
    const float* const h = rows.after + t * rows.size;
    sum += std::sqrt(products(h, h, rows.size).xx / static_cast<double>(rows.size));
  }
  return sum / static_cast<double>(rows.tokens);
}

}  // namespace strata::importance
