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

TEST(RoundRows, ValuesGoToBf16AndBackAsOneByOne) {
  std::vector<float> x(70000);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i)) * static_cast<float>(i);
  x[3] = std::nanf("");
  x[4] = -INFINITY;
  x[5] = 0x1.FFFFFEp127f;
  x[6] = 0x1p-149f;
  std::vector<bf16> narrowed(x.size());
  std::vector<float> widened(x.size()), difference(x.size());
  narrow(x.data(), x.size(), narrowed.data());
  widen(narrowed.data(), x.size(), widened.data());
  subtract(x.data(), widened.data(), x.size(), difference.data());
  for (std::size_t i = 0; i < x.size(); ++i) {
    ASSERT_EQ(narrowed[i].bits, to_bf16(x[i]).bits) << i;
    if (i > 6) {
      ASSERT_EQ(difference[i], x[i] - round_bf16(x[i])) << i;
    }
  }
}

TEST(RoundRows, OneValueThatIsNotFiniteIsFound) {
  std::vector<float> x(70000, 1.0f);
  EXPECT_TRUE(all_finite(x.data(), x.size()));
  EXPECT_TRUE(all_finite(x.data(), 0));
  for (const float bad : {INFINITY, -INFINITY, std::nanf("")})
    for (const std::size_t at : {std::size_t{0}, std::size_t{40000}, x.size() - 1}) {
      x[at] = bad;
      EXPECT_FALSE(all_finite(x.data(), x.size())) << at;
      x[at] = 1.0f;
    }
}

TEST(RoundRows, TheLargestMagnitudeHasNoSignAndIsNoNan) {
  const std::vector<float> x = {1.0f, -5.0f, std::nanf(""), 4.0f};
  EXPECT_EQ(largest_magnitude(x.data(), x.size()), 5.0f);
  EXPECT_EQ(largest_magnitude(x.data(), 0), 0.0f);
}

}  // namespace round_rows_test
}  // namespace strata::kernel
