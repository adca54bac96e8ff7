// Tests the codec that FP8 in blocks is read by: decoded rows equal the specification bit for bit, in any stretch.
#include <cmath>
#include <cstring>

#include "support.h"

namespace strata::codec {
namespace fp8_groups_test {

TEST(Fp8Groups, AWorkedExample) {
  Stored stored = allocate(fp8_groups(), 2, 256);
  const float scales[] = {0.5f, 2.0f, 1.0f, 0.25f};  // by row, then by group
  std::memcpy(stored.parts[1].data(), scales, sizeof scales);
  for (std::byte& code : stored.parts[0]) code = std::byte{0x39};  // 1.125
  std::vector<float> row(256);
  decode_row(stored, 0, 0, 256, row.data());
  EXPECT_EQ(row[127], 0.5625f);
  EXPECT_EQ(row[128], 2.25f);
  decode_row(stored, 1, 64, 192, row.data());
  EXPECT_EQ(row[63], 1.125f);
  EXPECT_EQ(row[64], 0.28125f);
}

TEST(Fp8Groups, DecodedRowsEqualTheSpecification) {
  constexpr std::size_t rows = 3, cols = 1280;
  Stored stored = allocate(fp8_groups(), rows, cols);
  Random random(5);
  for (std::byte& code : stored.parts[0]) code = static_cast<std::byte>(random.next() % 127);
  std::vector<float> scales(rows * cols / 128);
  for (float& scale : scales) scale = static_cast<float>(std::exp(random.normal()));
  std::memcpy(stored.parts[1].data(), scales.data(), stored.parts[1].size());
  std::vector<float> got(cols), want(cols);
  for (std::size_t r = 0; r < rows; ++r)
    for (const std::size_t col : {0u, 64u, 128u, 832u}) {
      decode_row(stored, r, col, cols - col, got.data());
      fp8_groups().unpack(fp8_groups(), stored, r, col, cols - col, want.data());
      EXPECT_EQ(std::memcmp(got.data(), want.data(), (cols - col) * sizeof(float)), 0)
          << "row " << r << " from " << col;
    }
}

}  // namespace fp8_groups_test
}  // namespace strata::codec
