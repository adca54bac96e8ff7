// Tests how sizes and times are shown, which texts are read as them, and which are refused with the option's name.
#include "core/units.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace strata {
namespace units_test {

TEST(Units, BytesAreShownInBinaryUnits) {
  EXPECT_EQ(human_bytes(0), "0 bytes");
  EXPECT_EQ(human_bytes(1023), "1023 bytes");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes(5ull << 40), "5.0 TiB");
  EXPECT_EQ(human_bytes(5ull << 50), "5120.0 TiB");
}

TEST(Units, SecondsAreShownAsFinelyAsTheyMatter) {
  EXPECT_EQ(human_seconds(0.04), "0.0 s");
  EXPECT_EQ(human_seconds(9.94), "9.9 s");
  EXPECT_EQ(human_seconds(99.4), "99 s");
  EXPECT_EQ(human_seconds(150), "3 min");
  EXPECT_EQ(human_seconds(9000), "2.5 h");
}

TEST(Units, SizesAreReadInBinaryAndDecimalUnits) {
  EXPECT_EQ(parse_bytes("12345", "--size"), 12345u);
  EXPECT_EQ(parse_bytes("90MiB", "--size"), 90u << 20);
  EXPECT_EQ(parse_bytes("1.5k", "--size"), 1536u);
  EXPECT_EQ(parse_bytes("8 GB", "--size"), 8'000'000'000u);
  EXPECT_EQ(parse_bytes("2tb", "--size"), 2'000'000'000'000u);
}

TEST(Units, WhatIsNoSizeIsRefusedWithTheOption) {
  for (const char* text : {"", "big", "0", "-1", "5 parsecs", "1e30", "nan", "9e999"}) {
    try {
      parse_bytes(text, "--size");
      ADD_FAILURE() << text;
    } catch (const UsageError& error) {
      EXPECT_EQ(error.what(), fmt::format("--size: '{}' is not a size; write for example 90MiB or 8GB", text));
    }
  }
}

TEST(Units, TimesAreReadInSecondsMinutesAndHours) {
  EXPECT_EQ(parse_seconds("90", "--search-time"), 90.0);
  EXPECT_EQ(parse_seconds("90s", "--search-time"), 90.0);
  EXPECT_EQ(parse_seconds("1.5m", "--search-time"), 90.0);
  EXPECT_EQ(parse_seconds("1h", "--search-time"), 3600.0);
  EXPECT_EQ(parse_seconds("0", "--search-time"), 0.0);
}

TEST(Units, WhatIsNoTimeIsRefusedWithTheOption) {
  for (const char* text : {"", "soon", "-1s", "5d", "inf", "nan"}) {
    try {
      parse_seconds(text, "--search-time");
      ADD_FAILURE() << text;
    } catch (const UsageError& error) {
      EXPECT_EQ(error.what(), fmt::format("--search-time '{}': expected a time such as 60s, 5m or 0", text));
    }
  }
}

}  // namespace units_test
}  // namespace strata
