// Rows of dense matrices are written and read back at any alignment.
#include "core/matrix.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace strata {
namespace matrix_test {

TEST(Matrix, ARowIsReadAsItWasWritten) {
  const float infinite = std::numeric_limits<float>::infinity();
  const std::vector<float> exact = {0.0f, -0.0f, 1.0f, -2.5f, 0.0078125f, 192.0f, infinite, -infinite};
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    std::vector<std::byte> bytes(1 + exact.size() * dtype_bytes(dtype));
    narrow_row(exact, dtype, bytes.data() + 1);
    std::vector<float> read(exact.size());
    read_row(MatrixView::dense(bytes.data() + 1, 1, exact.size(), dtype), 0, 0, exact.size(), read.data());
    for (std::size_t i = 0; i < exact.size(); ++i) {
      EXPECT_EQ(read[i], exact[i]) << dtype_name(dtype) << " " << i;
      EXPECT_EQ(std::signbit(read[i]), std::signbit(exact[i])) << dtype_name(dtype) << " " << i;
    }
  }
}

TEST(Matrix, NarrowingIsToTheNearest) {
  const std::vector<float> values = {1.0f + 0x1p-8f, 1.0f + 0x1.8p-8f, 1.0f + 0x1p-11f, 1.0f + 0x1.8p-11f};
  const auto narrowed = [&](DType dtype) {
    std::vector<std::byte> bytes(values.size() * dtype_bytes(dtype));
    narrow_row(values, dtype, bytes.data());
    std::vector<float> read(values.size());
    read_row(MatrixView::dense(bytes.data(), 1, values.size(), dtype), 0, 0, values.size(), read.data());
    return read;
  };
  EXPECT_EQ(narrowed(DType::bf16), (std::vector<float>{1.0f, 1.0f + 0x1p-7f, 1.0f, 1.0f}));
  EXPECT_EQ(narrowed(DType::f16), (std::vector<float>{1.0f + 0x1p-8f, 1.0f + 0x1.8p-8f, 1.0f, 1.0f + 0x1p-10f}));
}

TEST(Matrix, AStridedPartHasItsOwnRows) {
  const std::vector<float> whole = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  float out[2];
  read_row(MatrixView::strided(whole.data() + 1, 3, 2, 4), 2, 0, 2, out);
  EXPECT_EQ(out[0], 9.0f);
  EXPECT_EQ(out[1], 10.0f);
}

}  // namespace matrix_test
}  // namespace strata
