// lim_flat (arXiv 2406.17415): minus the cosine between a block's input and output, each sequence's (tokens, hidden)
// matrix taken as one vector; mean over sequences. Tokens with large hidden states dominate it.
#include "importance/signal.h"
#include "importance/signals/cosine.h"

namespace strata::importance {

double lim_flat(const BlockRows& rows) {
  Products sum;
  for (std::size_t t = 0; t < rows.tokens; ++t)
    sum += products(rows.before + t * rows.size, rows.after + t * rows.size, rows.size);
  return -sum.cosine();
}

}  // namespace strata::importance
