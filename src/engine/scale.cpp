// Multiplication by a factor, a stretch of rows for each thread.
#include "engine/scale.h"

#include <algorithm>

#include "core/threads.h"

namespace strata::engine {

void scale(float* x, std::size_t count, float factor) {
  if (factor == 1.0f) return;
  constexpr std::size_t stretch = 1 << 14;
  parallel_for((count + stretch - 1) / stretch, [&](std::size_t s) {
    const std::size_t end = std::min(count, (s + 1) * stretch);
    for (std::size_t i = s * stretch; i < end; ++i) x[i] *= factor;
  });
}

}  // namespace strata::engine
