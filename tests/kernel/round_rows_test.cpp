// Rows that are rounded together are those that are rounded alone, and what a fixed scale is made of.
#include "kernel/round_rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace strata::kernel {
namespace round_rows_test {

TEST(RoundRows, EachRowIsRoundedAlone) {
  const codec::ActivationRounding rounding{codec::ActivationRounding::Kind::int8_token, 1.0f};
  const std::vector<float> x = {1.0f, -0.3f, 0.7f, 100.0f, 3.0f, -41.0f};
  std::vector<float> together(x.size()), alone(x.size());
  round_rows(rounding, x.data(), 2, 3, together.data());
  for (std::size_t t = 0; t < 2; ++t)
    codec::round_activations(rounding, {x.data() + 3 * t, 3}, {alone.data() + 3 * t, 3});
  EXPECT_EQ(together, alone);
}

TEST(RoundRows, TheLargestMagnitudeHasNoSignAndIsNoNan) {
  const std::vector<float> x = {1.0f, -5.0f, std::nanf(""), 4.0f};
  EXPECT_EQ(largest_magnitude(x.data(), x.size()), 5.0f);
  EXPECT_EQ(largest_magnitude(x.data(), 0), 0.0f);
}

}  // namespace round_rows_test
}  // namespace strata::kernel
