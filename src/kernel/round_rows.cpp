// A row is rounded by one thread, whatever else is in the batch.
#include "kernel/round_rows.h"

#include "core/threads.h"

namespace strata::kernel {

void round_rows(const codec::ActivationRounding& rounding, const float* x, std::size_t tokens, std::size_t size,
                float* out) {
  parallel_for(tokens, [&](std::size_t t) {
    codec::round_activations(rounding, {x + t * size, size}, {out + t * size, size});
  });
}

}  // namespace strata::kernel
