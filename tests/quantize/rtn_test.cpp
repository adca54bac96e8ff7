// Round to nearest gives a linear the codec's bytes at any thread count, and errors that agree with those bytes.
// Shapes include rows that are not a multiple of a stretch.
#include "quantize/rtn.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/numbers.h"
#include "core/random.h"
#include "core/threads.h"
#include "quantize/scan.h"

namespace strata::quantize {
namespace rtn_test {

struct Linear {
  std::size_t rows, cols;
  std::vector<bf16> weights = std::vector<bf16>(rows * cols);
  std::vector<float> importance = std::vector<float>(cols);
  MatrixView view() const { return MatrixView::dense(weights.data(), rows, cols, DType::bf16); }
};

Linear random_linear(std::size_t rows, std::size_t cols) {
  Linear linear{rows, cols};
  Random random(11);
  for (bf16& w : linear.weights) w = to_bf16(static_cast<float>(0.03 * random.normal()));
  for (float& h : linear.importance) h = static_cast<float>(std::exp(random.normal()));
  return linear;
}

/// sum of importance * (weight - decoded)^2 over the stored bytes, in plain double.
double error_of(const codec::Stored& stored, const Linear& linear) {
  std::vector<float> row(linear.cols);
  double sum = 0;
  for (std::size_t r = 0; r < linear.rows; ++r) {
    codec::decode_row(stored, r, 0, linear.cols, row.data());
    for (std::size_t c = 0; c < linear.cols; ++c) {
      const double d = static_cast<double>(to_float(linear.weights[r * linear.cols + c])) - row[c];
      sum += linear.importance[c] * d * d;
    }
  }
  return sum;
}

class Rtn : public testing::TestWithParam<codec::ScaleFit> {
 protected:
  void TearDown() override { set_thread_count(0); }
};

TEST_P(Rtn, BytesAndErrorsAreTheSameAtAnyThreadCount) {
  const Linear linear = random_linear(101, 256);
  const float absmax = checked_absmax(linear.view(), "test", "linear");
  for (const codec::Codec& codec : codec::all()) {
    const float scale = codec::tensor_scale(codec, absmax);
    set_thread_count(1);
    const codec::Stored one = quantize_rtn(codec, linear.view(), linear.importance, GetParam(), scale);
    const WeightedError error = weighted_error(codec, linear.view(), linear.importance, GetParam(), scale);
    for (const std::size_t threads : {2u, 7u}) {
      set_thread_count(threads);
      const codec::Stored many = quantize_rtn(codec, linear.view(), linear.importance, GetParam(), scale);
      EXPECT_TRUE(one.parts == many.parts) << codec.name;
      const WeightedError again = weighted_error(codec, linear.view(), linear.importance, GetParam(), scale);
      EXPECT_EQ(error.error, again.error) << codec.name;
      EXPECT_EQ(error.energy, again.energy) << codec.name;
    }
  }
}

TEST_P(Rtn, WeightedErrorIsThatOfTheStoredBytes) {
  const Linear linear = random_linear(45, 256);
  const float absmax = checked_absmax(linear.view(), "test", "linear");
  for (const codec::Codec& codec : codec::all()) {
    const float scale = codec::tensor_scale(codec, absmax);
    const codec::Stored stored = quantize_rtn(codec, linear.view(), linear.importance, GetParam(), scale);
    const WeightedError error = weighted_error(codec, linear.view(), linear.importance, GetParam(), scale);
    const double want = error_of(stored, linear);
    EXPECT_NEAR(error.error, want, 1e-12 * want) << codec.name;
    if (!codec.has_codes()) {
      EXPECT_EQ(error.relative(), 0.0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Fits, Rtn, testing::Values(codec::ScaleFit::minmax, codec::ScaleFit::search));

TEST(RtnEnergy, CountsImportanceAndIsZeroSafe) {
  Linear linear = random_linear(3, 64);
  double energy = 0;
  for (std::size_t i = 0; i < linear.weights.size(); ++i)
    energy += linear.importance[i % 64] * std::pow(static_cast<double>(to_float(linear.weights[i])), 2);
  const auto& codec = codec::by_name("int4_g64");
  EXPECT_NEAR(weighted_error(codec, linear.view(), linear.importance, codec::ScaleFit::minmax, 1).energy, energy,
              1e-12 * energy);
  for (bf16& w : linear.weights) w = {0};
  EXPECT_EQ(weighted_error(codec, linear.view(), linear.importance, codec::ScaleFit::search, 1).relative(), 0.0);
}

}  // namespace rtn_test
}  // namespace strata::quantize
