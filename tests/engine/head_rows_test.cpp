// Keys by heads: what is appended is found by head and position, before and after the room has grown.
#include "engine/head_rows.h"

#include <gtest/gtest.h>

namespace strata::engine {
namespace head_rows_test {

TEST(HeadRows, HoldEveryPositionOfEveryHead) {
  constexpr std::size_t heads = 3, dim = 4;
  HeadRows rows;
  const auto value = [](std::size_t position, std::size_t column) {
    return static_cast<float>(position) + 0.0625f * static_cast<float>(column % 16);  // exact in bf16 below 16
  };
  std::size_t position = 0;
  for (const std::size_t tokens : {5u, 1u, 1u, 30u, 1u, 70u, 1u}) {
    std::vector<float> appended;
    for (std::size_t t = 0; t < tokens; ++t)
      for (std::size_t c = 0; c < heads * dim; ++c) appended.push_back(value((position + t) % 16, c));
    rows.append(appended.data(), tokens, heads, dim);
    position += tokens;
    ASSERT_EQ(rows.positions(), position);
    ASSERT_GE(rows.capacity(), position);
    for (std::size_t h = 0; h < heads; ++h)
      for (std::size_t p = 0; p < position; ++p)
        for (std::size_t i = 0; i < dim; ++i)
          ASSERT_EQ(to_float(rows.data()[(h * rows.capacity() + p) * dim + i]), value(p % 16, h * dim + i));
  }
  EXPECT_LE(rows.capacity(), position + position / 4 + 32);
}

}  // namespace head_rows_test
}  // namespace strata::engine
