// Learned rounding starts from the codes it is given, for every codec; its steps lower the loss, and what it stores is
// what was decoded when it was kept.
#include "quantize/learned_rounding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/numbers.h"
#include "core/random.h"

namespace strata::quantize {
namespace learned_rounding_test {

constexpr std::size_t kRows = 33, kCols = 256;

struct Linear {
  std::vector<float> weights;
  Hessian hessian{kCols};
  float absmax = 0;
  MatrixView view() const { return MatrixView::dense(weights.data(), kRows, kCols, DType::f32); }
};

Linear random_linear() {
  Random random(5);
  Linear linear;
  for (std::size_t i = 0; i < kRows * kCols; ++i) {
    linear.weights.push_back(round_bf16(static_cast<float>(0.05 * random.normal())));
    linear.absmax = std::max(linear.absmax, std::fabs(linear.weights.back()));
  }
  std::vector<float> inputs(600 * kCols);
  for (std::size_t i = 0; i < inputs.size(); ++i)
    inputs[i] = static_cast<float>(random.normal()) + (i % kCols == 0 ? 0.0f : 0.5f * inputs[i - 1]);
  linear.hessian.add(inputs.data(), 600, kernel::Precision::f32);
  return linear;
}

std::vector<float> decoded(const codec::Stored& stored) {
  std::vector<float> values(kRows * kCols);
  for (std::size_t r = 0; r < kRows; ++r) codec::decode_row(stored, r, 0, kCols, values.data() + r * kCols);
  return values;
}

std::vector<const codec::Codec*> codecs() {
  std::vector<const codec::Codec*> result;
  for (const codec::Codec& codec : codec::all())
    if (LearnedRounding::can_learn(codec) && codec::why_not(codec, kRows, kCols).empty()) result.push_back(&codec);
  return result;
}

GptqResult start_of(const codec::Codec& codec, const Linear& linear) {
  return quantize_gptq(codec, linear.view(), linear.hessian, {.refine = 1},
                       {codec::tensor_scale(codec, linear.absmax), codec::ScaleFit::search, true});
}

TEST(LearnedRounding, StartsFromTheCodesItIsGiven) {
  const Linear linear = random_linear();
  for (const codec::Codec* codec : codecs()) {
    GptqResult start = start_of(*codec, linear);
    const LearnedRounding learned(*codec, kRows, kCols, codec::tensor_scale(*codec, linear.absmax),
                                  std::move(start.choice));
    std::vector<float> values(kRows * kCols);
    learned.decode(values);
    EXPECT_EQ(values, decoded(start.stored)) << codec->name;
    EXPECT_TRUE(learned.stored().parts == start.stored.parts) << codec->name;
  }
}

/// Under a loss that is linear in the weights every step that changes a code helps.
TEST(LearnedRounding, StepsLowerTheLossAndWhatIsKeptIsStored) {
  const Linear linear = random_linear();
  Random random(8);
  std::vector<float> gradient(kRows * kCols), values(gradient.size());
  for (float& g : gradient) g = static_cast<float>(random.normal());
  for (const codec::Codec* codec : codecs()) {
    GptqResult start = start_of(*codec, linear);
    LearnedRounding learned(*codec, kRows, kCols, codec::tensor_scale(*codec, linear.absmax), std::move(start.choice));
    const auto loss = [&] {
      learned.decode(values);
      double sum = 0;
      for (std::size_t i = 0; i < values.size(); ++i)
        sum += static_cast<double>(gradient[i]) * static_cast<double>(values[i]);
      return sum;
    };
    const double before = loss();
    for (int step = 0; step < 10; ++step) {
      loss();
      learned.step(gradient, values, 0.05f, 0.001f);
    }
    EXPECT_LT(loss(), before) << codec->name;
    learned.keep();
    EXPECT_EQ(decoded(learned.stored()), values) << codec->name;
    learned.step(gradient, values, 0.5f, 0.1f);
    EXPECT_EQ(decoded(learned.stored()), values) << codec->name << ": a step after keeping";
  }
}

TEST(MovableScales, StoreWhatTheCodecWrote) {
  const Linear linear = random_linear();
  for (const codec::Codec* codec : codecs()) {
    const MovableScales scales(*codec, codec::tensor_scale(*codec, linear.absmax));
    if (!scales.any()) continue;
    for (const codec::GroupParams& group : start_of(*codec, linear).choice.groups)
      ASSERT_EQ(scales.storable(group.scale), group.scale) << codec->name;
  }
}

}  // namespace learned_rounding_test
}  // namespace strata::quantize
