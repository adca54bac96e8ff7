// Shared by the tests of gradients: random values, a loss that weights them, and central differences of a loss.
#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "core/random.h"

namespace strata::kernel {

inline std::vector<float> random_values(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(random.normal());
  return values;
}

inline double dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

/// Compares `gradient` with the central differences of loss() by each (or every `each`-th) value of x.
inline void expect_gradient(std::vector<float>& x, const std::vector<float>& gradient,
                            const std::function<double()>& loss, const char* name, std::size_t each = 1) {
  constexpr float step = 1e-2f;
  for (std::size_t i = 0; i < x.size(); i += each) {
    const float kept = x[i];
    x[i] = kept + step;
    const double above = loss();
    x[i] = kept - step;
    const double below = loss();
    x[i] = kept;
    EXPECT_NEAR(gradient[i], (above - below) / (2.0 * static_cast<double>(step)), 4e-3) << name << " " << i;
  }
}

}  // namespace strata::kernel
