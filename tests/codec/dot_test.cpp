// Compares the products of stored rows, read straight from their bytes, with sums in double of what unpack gives: every
// codec and variant, 1 to 16 tokens, widths with tails. Weights and sums are in f32: the error of a sum of n terms is
// within n * 2^-24 of the sum of their magnitudes.
#include "codec/family.h"
#include "core/cpu.h"
#include "support.h"

namespace strata::codec {
namespace dot_test {

class Dots : public testing::TestWithParam<const Variant*> {
 protected:
  void SetUp() override {
    if (!isa_runs_here(GetParam()->isa)) GTEST_SKIP() << GetParam()->name << " does not run on this CPU";
  }
};

/// Activations as the kernels want them, in memory of their own, so that a sanitizer sees a step beyond them.
struct Activations {
  Activations(std::size_t tokens, std::size_t cols, std::uint64_t seed) : width((cols + 15) / 16 * 16), view{} {
    const std::size_t rows = tokens == 1 ? 1 : (tokens + kTogether - 1) / kTogether * kTogether;
    values.assign(rows * width, 0.0f);
    Random random(seed);
    for (std::size_t t = 0; t < tokens; ++t)
      for (std::size_t c = 0; c < cols; ++c) values[t * width + c] = static_cast<float>(random.normal());
    view = {values.data(), width, tokens, cols};
  }
  std::size_t width;
  std::vector<float> values;
  FewRows view;
};

/// Rows [row, row + rows) of `stored` times the activations, by a variant, against the definition.
void expect_products(const Variant& variant, const Stored& stored, std::size_t row, std::size_t rows,
                     const Activations& x) {
  const std::size_t cols = stored.cols, tokens = x.view.tokens, y_stride = rows + 3;
  const float untouched = 12345.0f;
  std::vector<float> y(tokens * y_stride, untouched), w(cols);
  multiply_rows(variant, stored, row, rows, x.view, y.data(), y_stride);
  for (std::size_t r = 0; r < rows; ++r) {
    stored.codec->unpack(*stored.codec, stored, row + r, 0, cols, w.data());
    for (std::size_t t = 0; t < tokens; ++t) {
      double sum = 0, size = 0;
      for (std::size_t c = 0; c < cols; ++c) {
        const double product = static_cast<double>(w[c]) * static_cast<double>(x.values[t * x.width + c]);
        sum += product;
        size += std::fabs(product);
      }
      const float got = y[t * y_stride + r];
      if (!std::isfinite(sum)) {
        ASSERT_FALSE(std::isfinite(got)) << stored.codec->name << " row " << row + r << " token " << t;
      } else if (size < 1e38) {
        ASSERT_NEAR(got, sum, std::ldexp(size * static_cast<double>(cols + 2), -24) + 1e-37)
            << stored.codec->name << " " << cols << " columns, row " << row + r << ", token " << t << " of " << tokens;
      }
    }
  }
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t r = rows; r < y_stride; ++r) ASSERT_EQ(y[t * y_stride + r], untouched);
}

Stored stored_as(const Codec& codec, std::size_t rows, std::size_t cols) {
  const Matrix m = random_matrix(rows, cols, cols);
  return encode(codec, m.view(), {}, ScaleFit::minmax, tensor_scale(codec, 0.1f));
}

TEST_P(Dots, OfEveryCodecEqualTheSumsOverUnpackedWeights) {
  for (const Codec& codec : all())
    for (const std::size_t cols : {1u, 3u, 17u, 31u, 64u, 75u, 100u, 256u, 523u, 768u, 1152u}) {
      if (!why_not(codec, 35, cols).empty()) continue;
      const Stored stored = stored_as(codec, 35, cols);
      for (const std::size_t tokens : {1u, 2u, 4u, 5u, 16u}) {
        const Activations x(tokens, cols, tokens);
        ASSERT_NO_FATAL_FAILURE(expect_products(*GetParam(), stored, 0, 35, x));
        ASSERT_NO_FATAL_FAILURE(expect_products(*GetParam(), stored, 7, 2, x));
      }
    }
}

TEST_P(Dots, OfEveryNumberOfTokens) {
  for (const char* name : {"q8_0", "int4_g32", "fp8_channel", "nvfp4"}) {
    const Stored stored = stored_as(by_name(name), 32, 96);
    for (std::size_t tokens = 1; tokens <= 16; ++tokens)
      ASSERT_NO_FATAL_FAILURE(expect_products(*GetParam(), stored, 0, 32, Activations(tokens, 96, tokens)));
  }
}

TEST_P(Dots, OfAnyBytesAreAsFiniteAsTheirWeights) {
  Random random(9);
  std::vector<const Codec*> readable = {&fp8_groups()};
  for (const Codec& codec : all()) readable.push_back(&codec);
  for (const Codec* codec : readable) {
    const std::size_t cols = 512;
    Stored stored = allocate(*codec, 32, cols);  // NaN codes, infinite and subnormal scales included
    for (auto& part : stored.parts)
      for (std::byte& byte : part) byte = static_cast<std::byte>(random.next());
    for (const std::size_t tokens : {1u, 3u})
      ASSERT_NO_FATAL_FAILURE(expect_products(*GetParam(), stored, 0, 32, Activations(tokens, cols, 4)));
  }
}

TEST_P(Dots, RowsTogetherAndAloneAgreeBitForBit) {
  for (const Codec& codec : all()) {
    const Stored stored = stored_as(codec, 32, 256);
    const Activations x(1, 256, 3);
    std::vector<float> together(32), alone(32);
    multiply_rows(*GetParam(), stored, 0, 32, x.view, together.data(), 32);
    for (std::size_t r = 0; r < 32; ++r) multiply_rows(*GetParam(), stored, r, 1, x.view, &alone[r], 1);
    EXPECT_EQ(together, alone) << codec.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Compiled, Dots, testing::ValuesIn(variants().begin(), variants().end()),
                         [](const auto& variant) { return std::string(variant.param->name); });

}  // namespace dot_test
}  // namespace strata::codec
