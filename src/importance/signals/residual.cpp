// residual: the magnitude of the residual stream behind a block, the root mean square of a token's hidden state, mean
// over tokens. An error of a given size is the smaller a share of the stream the larger the stream is.
#include <cmath>

#include "importance/signal.h"
#include "importance/signals/cosine.h"

namespace strata::importance {
namespace {

class Residual : public ActivationSignal {
 public:
  using ActivationSignal::ActivationSignal;

 private:
  double value(const BlockRows& rows) const override {
    double sum = 0.0;
    for (std::size_t t = 0; t < rows.tokens; ++t) {
      const float* const h = rows.after + t * rows.size;
      sum += std::sqrt(products(h, h, rows.size).xx / static_cast<double>(rows.size));
    }
    return sum / static_cast<double>(rows.tokens);
  }
};

}  // namespace

std::unique_ptr<ActivationSignal> observe_residual(std::size_t blocks, std::size_t sequences) {
  return std::make_unique<Residual>(blocks, sequences);
}

}  // namespace strata::importance
