// A row is rounded by one thread, whatever else is in the batch.
#include "kernel/round_rows.h"

#include <algorithm>
#include <cmath>

#include "core/threads.h"

namespace strata::kernel {

void round_rows(const codec::ActivationRounding& rounding, const float* x, std::size_t tokens, std::size_t size,
                float* out) {
  parallel_for(tokens, [&](std::size_t t) {
    codec::round_activations(rounding, {x + t * size, size}, {out + t * size, size});
  });
}

float largest_magnitude(const float* values, std::size_t count) {
  float most = 0.0f;
  for (std::size_t i = 0; i < count; ++i) most = std::max(most, std::fabs(values[i]));
  return most;
}

}  // namespace strata::kernel
