// Factors, caps and columns of rows, on all threads where the work is worth it.
#include "engine/scale.h"

#include <algorithm>
#include <cmath>

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

void cap(float* x, std::size_t count, float limit) {
  if (limit == 0.0f) return;
  constexpr std::size_t stretch = 1 << 14;
  parallel_for((count + stretch - 1) / stretch, [&](std::size_t s) {
    for (std::size_t i = s * stretch; i < std::min(count, (s + 1) * stretch); ++i)
      x[i] = limit * std::tanh(x[i] / limit);
  });
}

void take_columns(const float* from, std::size_t rows, std::size_t width, std::size_t first, std::size_t count,
                  float* to) {
  for (std::size_t r = 0; r < rows; ++r) std::copy_n(from + r * width + first, count, to + r * count);
}

void put_columns(const float* from, std::size_t rows, std::size_t width, std::size_t first, std::size_t count,
                 float* to) {
  for (std::size_t r = 0; r < rows; ++r) std::copy_n(from + r * count, count, to + r * width + first);
}

}  // namespace strata::engine
