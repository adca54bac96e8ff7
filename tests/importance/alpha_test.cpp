// On a tiny random model every group gets an alpha, whatever the number of threads, and the engine is left as it was.
// docs/results.md measures what its values are worth on a real model.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "core/threads.h"
#include "importance/signal.h"
#include "support/random_tokens.h"

namespace strata::importance {
namespace alpha_test {

TEST(Alpha, MeasuresEveryGroupAndLeavesTheEngineAsItWas) {
  const model::Model model =
      model::Model::open(std::filesystem::path(STRATA_TEST_DATA) / "golden/models/llama_untied_sharded");
  engine::Engine engine(model);
  const CalibrationSet set = random_tokens(engine.architecture().vocab, 4, 32, 7);
  const InputMeanSquare inputs = input_mean_square(engine, set);
  const engine::Sequence sequence{set.sequences[0].size()};
  const std::vector<float> before = engine.forward(set.sequences[0], {&sequence, 1});
  const Samples result = alpha(signal_by_name("alpha"), engine, set, inputs, {{}, 96, {}});
  ASSERT_EQ(result.size(), engine.architecture().groups.size());
  for (const std::vector<double>& values : result) {
    ASSERT_EQ(values.size(), 3u);
    for (const double value : values) {
      EXPECT_GT(value, 0.0);
      EXPECT_TRUE(std::isfinite(value));
    }
  }
  EXPECT_EQ(engine.forward(set.sequences[0], {&sequence, 1}), before);
}

TEST(Alpha, EveryCodecWithCodesIsPricedByOneKind) {
  for (const codec::Codec& codec : codec::all()) {
    std::size_t prices = 0;
    for (const Signal& signal : signals()) prices += signal.prices && signal.prices->contain(codec) ? 1 : 0;
    EXPECT_EQ(prices, codec.has_codes() ? 1u : 0u) << codec.name;
  }
}

TEST(Alpha, IsTheSameAtAnyThreadCount) {
  const model::Model model = model::Model::open(std::filesystem::path(STRATA_TEST_DATA) / "golden/models/qwen3");
  engine::Engine engine(model);
  const CalibrationSet set = random_tokens(engine.architecture().vocab, 4, 32, 7);
  const InputMeanSquare inputs = input_mean_square(engine, set);
  Samples values[2];
  for (const std::size_t threads : {1, 3}) {
    set_thread_count(threads);
    values[threads / 2] = alpha(signal_by_name("alpha"), engine, set, inputs, {});
  }
  set_thread_count(0);
  EXPECT_EQ(values[0], values[1]);
}

}  // namespace alpha_test
}  // namespace strata::importance
