// lim_flat (arXiv 2406.17415): minus the cosine between a block's input and output, each sequence's (tokens, hidden)
// matrix taken as one vector; mean over sequences. Tokens with large hidden states dominate it.
#include "importance/signal.h"
#include "importance/signals/cosine.h"

namespace strata::importance {
namespace {

class LimFlat : public ActivationSignal {
 public:
  using ActivationSignal::ActivationSignal;

 private:
  double value(const BlockRows& rows) const override {
    Products sum;
    for (std::size_t t = 0; t < rows.tokens; ++t)
      sum += products(rows.before + t * rows.size, rows.after + t * rows.size, rows.size);
    return -sum.cosine();
  }
};

}  // namespace

std::unique_ptr<ActivationSignal> observe_lim_flat(std::size_t blocks, std::size_t sequences) {
  return std::make_unique<LimFlat>(blocks, sequences);
}

}  // namespace strata::importance
