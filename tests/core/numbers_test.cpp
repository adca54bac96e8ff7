// Tests all codes of the small number formats, and every boundary between two codes in both directions.
// A boundary is the mean of neighbours, exact in double; the float on each side of it must round to that side.
#include "core/numbers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace strata {
namespace numbers_test {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Checks a rounding to rising non-negative values, code i being values[i]: exact values, the floats beside each
/// boundary, and the tie itself, which goes to the even code. `negative(i)` is the code of -values[i].
template <class Round, class Negative>
void check_rounding(const std::vector<float>& values, Round round, Negative negative) {
  for (std::size_t i = 0; i + 1 < values.size(); ++i) {
    ASSERT_EQ(round(values[i]), i);
    if (i != 0) {
      ASSERT_EQ(round(-values[i]), negative(i)) << values[i];
    }
    const double boundary = (static_cast<double>(values[i]) + values[i + 1]) / 2;
    const auto tie = static_cast<float>(boundary);
    ASSERT_EQ(static_cast<double>(tie), boundary);
    const std::size_t even = i % 2 == 0 ? i : i + 1;
    ASSERT_EQ(round(tie), even) << tie;
    ASSERT_EQ(round(-tie), negative(even)) << tie;
    ASSERT_EQ(round(std::nextafter(tie, 0.0f)), i) << tie;
    ASSERT_EQ(round(std::nextafter(tie, kInfinity)), i + 1) << tie;
    ASSERT_EQ(round(-std::nextafter(tie, kInfinity)), negative(i + 1)) << tie;
  }
}

TEST(Numbers, Bf16KeepsAllItsValuesAndRoundsHalfToEven) {
  std::vector<float> values;
  for (unsigned code = 0; code < 0x7F80; ++code) values.push_back(to_float(bf16{static_cast<std::uint16_t>(code)}));
  check_rounding(
      values, [](float x) { return to_bf16(x).bits; }, [](std::size_t i) { return i | 0x8000u; });
  EXPECT_EQ(to_bf16(-0.0f).bits, 0x8000);
  EXPECT_EQ(to_bf16(kInfinity).bits, 0x7F80);
  EXPECT_EQ(to_bf16(std::numeric_limits<float>::max()).bits, 0x7F80);
  EXPECT_TRUE(std::isnan(to_float(to_bf16(std::bit_cast<float>(0x7F800001u)))));
  EXPECT_TRUE(std::isnan(to_float(to_bf16(std::bit_cast<float>(0xFFFFFFFFu)))));
}

TEST(Numbers, F16KeepsAllItsValuesAndRoundsHalfToEven) {
  std::vector<float> values;
  for (unsigned code = 0; code < 0x7C00; ++code) values.push_back(to_float(f16{static_cast<std::uint16_t>(code)}));
  check_rounding(
      values, [](float x) { return to_f16(x).bits; }, [](std::size_t i) { return i | 0x8000u; });
  EXPECT_EQ(to_f16(-0.0f).bits, 0x8000);
  EXPECT_EQ(values[1], 0x1p-24f);
  EXPECT_EQ(values[0x3C00], 1.0f);
  EXPECT_EQ(values[0x7BFF], 65504.0f);
  EXPECT_EQ(to_f16(65519.996f).bits, 0x7BFF);
  EXPECT_EQ(to_f16(65520.0f).bits, 0x7C00);
  EXPECT_EQ(to_f16(-kInfinity).bits, 0xFC00);
  EXPECT_TRUE(std::isnan(to_float(to_f16(std::nanf("")))));
  EXPECT_TRUE(std::isinf(to_float(f16{0x7C00})));
}

TEST(Numbers, E4m3KeepsAllItsValuesAndRoundsHalfToEven) {
  std::vector<float> values;
  for (unsigned code = 0; code < 0x7F; ++code) values.push_back(e4m3_to_float(static_cast<std::uint8_t>(code)));
  check_rounding(
      values, [](float x) { return float_to_e4m3(x); }, [](std::size_t i) { return i | 0x80u; });
  EXPECT_EQ(values[1], 0x1p-9f);
  EXPECT_EQ(values[8], 0x1p-6f);
  EXPECT_EQ(values[0x38], 1.0f);
  EXPECT_EQ(values[0x7E], 448.0f);
  EXPECT_EQ(float_to_e4m3(449.0f), 0x7E);
  EXPECT_EQ(float_to_e4m3(-kInfinity), 0xFE);
  EXPECT_EQ(float_to_e4m3(-1e-30f), 0x80);
  EXPECT_EQ(float_to_e4m3(-0.0f), 0x80);
  EXPECT_EQ(float_to_e4m3(std::nanf("")) & 0x7F, 0x7F);
  for (const unsigned code : {0x7Fu, 0xFFu}) EXPECT_TRUE(std::isnan(e4m3_to_float(static_cast<std::uint8_t>(code))));
  for (unsigned code = 0x80; code < 0xFF; ++code)
    EXPECT_EQ(float_to_e4m3(e4m3_to_float(static_cast<std::uint8_t>(code))), code);
}

TEST(Numbers, E2m1KeepsAllItsValuesAndRoundsHalfToEven) {
  const std::vector<float> values = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};
  for (std::uint8_t code = 0; code < 8; ++code) {
    EXPECT_EQ(e2m1_to_float(code), values[code]);
    EXPECT_EQ(e2m1_to_float(code | 8), -values[code]);
  }
  check_rounding(
      values, [](float x) { return float_to_e2m1(x); }, [](std::size_t i) { return i | 8u; });
}

TEST(Numbers, E2m1WritesMinusZeroAsZeroAndASmallNegativeAsEight) {
  EXPECT_EQ(float_to_e2m1(-0.0f), 0);
  EXPECT_EQ(float_to_e2m1(-1e-30f), 8);
  EXPECT_EQ(float_to_e2m1(7.0f), 7);
  EXPECT_EQ(float_to_e2m1(-kInfinity), 15);
  EXPECT_EQ(float_to_e2m1(std::nanf("")), 0);
}

TEST(Numbers, E8m0IsAPowerOfTwo) {
  for (int code = 0; code < 255; ++code)
    EXPECT_EQ(e8m0_to_float(static_cast<std::uint8_t>(code)), std::ldexp(1.0f, code - 127));
  EXPECT_TRUE(std::isnan(e8m0_to_float(255)));
}

}  // namespace numbers_test
}  // namespace strata
