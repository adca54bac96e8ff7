// What is sent of a sum is the sum, whoever unpacks it.
#include "quantize/packed_sums.h"

#include <gtest/gtest.h>

#include "core/random.h"

namespace strata::quantize {
namespace packed_sums_test {

std::vector<float> rows(std::size_t count) {
  Random random(4);
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(random.normal());
  return values;
}

TEST(PackedSums, AHessianComesBackFromItsTriangle) {
  constexpr std::size_t size = 70, tokens = 40;
  const std::vector<float> x = rows(size * tokens);
  Hessian whole(size), sent(size), come(size);
  whole.add(x.data(), tokens, kernel::Precision::bf16);
  sent.add_lower(x.data(), tokens, kernel::Precision::bf16);
  const std::vector<std::byte> bytes = packed(sent);
  EXPECT_EQ(bytes.size(), sizeof(std::size_t) + size * (size + 1) / 2 * sizeof(float));
  unpack(bytes, come);
  come.mirror();
  EXPECT_EQ(come.tokens(), tokens);
  for (std::size_t i = 0; i < size; ++i)
    for (std::size_t j = 0; j < size; ++j) ASSERT_EQ(come.at(i, j), whole.at(i, j)) << i << ", " << j;
}

TEST(PackedSums, AMomentComesBackWhole) {
  constexpr std::size_t high = 5, wide = 9, tokens = 12;
  const std::vector<float> a = rows(high * tokens), b = rows(wide * tokens);
  CrossMoment sent(high, wide), come(high, wide);
  sent.add(a.data(), b.data(), tokens, kernel::Precision::f32);
  unpack(packed(sent), come);
  EXPECT_EQ(come.sums(), sent.sums());
}

TEST(PackedSums, SumsOfTrianglesAreTheSumOfAll) {
  constexpr std::size_t size = 33, tokens = 16;
  const std::vector<float> x = rows(2 * size * tokens);
  Hessian first(size), second(size), other(size);
  first.add_lower(x.data(), tokens, kernel::Precision::f32);
  second.add_lower(x.data() + size * tokens, tokens, kernel::Precision::f32);
  first += second;
  first.mirror();
  other.add(x.data() + size * tokens, tokens, kernel::Precision::f32);
  Hessian alone(size);
  alone.add(x.data(), tokens, kernel::Precision::f32);
  for (std::size_t i = 0; i < size; ++i)
    for (std::size_t j = 0; j < size; ++j) ASSERT_EQ(first.at(i, j), alone.at(i, j) + other.at(i, j));
  EXPECT_EQ(first.tokens(), 2 * tokens);
}

}  // namespace packed_sums_test
}  // namespace strata::quantize
