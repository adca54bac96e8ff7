// Products of one token rounded to 8 bits: the same at any number of threads, near those of the token as it is, and not
// made where there is no kernel. Their bits are tested in tests/codec/byte_dots_test.cpp.
#include "kernel/byte_products.h"

#include <cmath>

#include "core/threads.h"
#include "kernel/fixtures.h"

namespace strata::kernel {
namespace byte_products_test {

constexpr std::size_t kRows = 530, kCols = 768;

codec::Stored stored_as(const char* name) {
  const codec::Codec& codec = codec::by_name(name);
  const std::vector<float> values = normal(kRows * kCols, 5);
  codec::Stored stored = codec::allocate(codec, kRows, kCols);
  codec::encode_rows(codec, MatrixView::dense(values.data(), kRows, kCols, DType::f32), {}, codec::ScaleFit::minmax,
                     1.0f, 0, kRows, stored);
  return stored;
}

TEST(ByteProducts, AreNearThoseOfTheTokenAtAnyNumberOfThreads) {
  std::size_t made = 0, with_kernels = 0;
  for (const Variant* variant : runnable()) {
    with_kernels += variant->isa >= Isa::avx2 ? 1 : 0;
    for (const char* name : {"q8_0", "q4_0", "q4_k", "q6_k", "int4_g128", "int8_channel"}) {
      const codec::Stored stored = stored_as(name);
      const Weights w{{}, &stored};
      const std::vector<float> x = normal(kCols, 7);
      std::vector<float> want(kRows), one(kRows, 1.0f), two(kRows, 1.0f);
      set_thread_count(1);
      if (!multiply_in_bytes(*variant, x.data(), w, one.data())) {
        EXPECT_EQ(one, two) << "nothing is done";
        continue;
      }
      ++made;
      set_thread_count(3);
      ASSERT_TRUE(multiply_in_bytes(*variant, x.data(), w, two.data()));
      set_thread_count(0);
      EXPECT_EQ(one, two) << name;
      matmul_reference(x.data(), kCols, 1, w, want.data(), kRows, Precision::f32);
      double error = 0, size = 0;
      for (std::size_t r = 0; r < kRows; ++r) {
        error += std::pow(static_cast<double>(one[r] - want[r]), 2);
        size += std::pow(static_cast<double>(want[r]), 2);
      }
      // Steps of 1 / 127 of about twice the deviation, rounded: an error of 0.005 of the deviation.
      EXPECT_LT(std::sqrt(error / size), 0.008) << name;
      EXPECT_GT(std::sqrt(error / size), 0.002) << name;
    }
  }
  EXPECT_EQ(made, 6 * with_kernels);
}

TEST(ByteProducts, AreNotMadeOfDenseWeights) {
  const std::vector<float> values = normal(32 * 64, 1);
  const std::vector<float> untouched(32, 3.0f);
  std::vector<float> y = untouched;
  EXPECT_FALSE(
      multiply_in_bytes(values.data(), {MatrixView::dense(values.data(), 32, 64, DType::f32), nullptr}, y.data()));
  EXPECT_EQ(y, untouched);
}

}  // namespace byte_products_test
}  // namespace strata::kernel
