// On tiny random models fisher predicts what noise in a single linear costs when it is measured.
// docs/results.md measures what it is worth on a real model.
#include "importance/signals/fisher.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "codec/codec.h"
#include "core/random.h"
#include "core/threads.h"
#include "engine/modes.h"
#include "importance/score.h"
#include "support/random_tokens.h"
#include "support/tiny_model.h"

namespace strata::importance {
namespace fisher_test {

model::Model golden(const std::string& name) { return model::Model::open(::strata::fixtures::golden_model(name)); }

/// Mean divergence with noise in a linear: of `size` in every weight, or in those of its first rows only.
double measured(engine::Engine& engine, DivergenceMeter& meter, const model::Linear& linear, std::size_t l,
                std::size_t rows, float size) {
  const model::LinearWeights held = engine.model().weights(linear);
  std::vector<float> weights(linear.rows * linear.cols);
  constexpr std::uint64_t draws = 2;
  double sum = 0.0;
  for (std::uint64_t draw = 0; draw < draws; ++draw) {
    Random random(draw);
    for (std::size_t r = 0; r < linear.rows; ++r) {
      const std::span<float> row = std::span(weights).subspan(r * linear.cols, linear.cols);
      codec::widen_row(held.view().dense, r, row);
      if (r < rows)
        for (float& w : row) w += size * static_cast<float>(random.normal());
    }
    engine::Replacing replacing(engine);
    replacing.set(l, {MatrixView::dense(weights.data(), linear.rows, linear.cols, DType::f32), nullptr});
    const std::vector<double> of_token = meter.measure(0);
    sum += std::accumulate(of_token.begin(), of_token.end(), 0.0) / static_cast<double>(of_token.size());
  }
  return sum / static_cast<double>(draws);
}

/// Expects that noise in the first rows of linear l costs what its sensitivity says.
void expect_noise_costs(engine::Engine& engine, DivergenceMeter& meter, const Sensitivity& sensitivity, std::size_t l,
                        std::size_t rows) {
  const model::Linear& linear = engine.architecture().linears[l];
  double columns = 0.0;
  for (const std::vector<double>& part : sensitivity.columns)
    columns += std::accumulate(part.begin(), part.end(), 0.0) / static_cast<double>(sensitivity.columns.size());
  constexpr float size = 2e-3f;
  const double expected =
      static_cast<double>(size) * static_cast<double>(size) * columns *
      std::accumulate(sensitivity.rows.begin(), sensitivity.rows.begin() + static_cast<std::ptrdiff_t>(rows), 0.0);
  const double kl = measured(engine, meter, linear, l, rows, size);
  EXPECT_GT(kl, 0.6 * expected) << linear.module << ", " << rows << " rows";
  EXPECT_LT(kl, 1.6 * expected) << linear.module << ", " << rows << " rows";
}

class FisherOf : public ::testing::TestWithParam<const char*> {};

TEST_P(FisherOf, IsWhatNoiseCosts) {
  const model::Model model = golden(GetParam());
  const model::Architecture& a = model.architecture();
  engine::Engine engine(model);
  const CalibrationSet set = random_tokens(a.vocab, 32, 32, 7);
  DivergenceMeter meter(engine, set, 32 * 32);
  const Sensitivities result = sensitivities(engine, set);
  ASSERT_EQ(result.size(), a.linears.size());
  for (std::size_t l = 0; l < a.linears.size(); ++l) {
    const model::Linear& linear = a.linears[l];
    ASSERT_EQ(result[l].rows.size(), linear.rows);
    // A token that goes to another expert costs more than a gradient tells, so only what is behind every router counts.
    const bool last = linear.block == model::kNoBlock || linear.block + 1 == a.blocks;
    if (a.layout.back().mixture && !(last && (linear.routed() || linear.block == model::kNoBlock))) continue;
    for (const std::size_t rows : {linear.rows, linear.rows / 4}) expect_noise_costs(engine, meter, result[l], l, rows);
  }
}

// In mixtral an expert sees a few of the tokens.
INSTANTIATE_TEST_SUITE_P(Models, FisherOf, ::testing::Values("llama_untied_sharded", "mixtral"));

TEST(Fisher, TakesAsManySequencesAsItsTokensAllowAndAtLeastOneAPart) {
  EXPECT_EQ(sensitivity_sequences(32, 128), kSensitivityTokens / 128);
  EXPECT_EQ(sensitivity_sequences(64, 512), kParts);
  EXPECT_EQ(sensitivity_sequences(3, 128), 3u);
}

TEST(Fisher, CountsWhatLaterBlocksReadOfKeysAndValues) {
  const model::Model model = golden("gemma4_text");  // blocks 2 and 3 read those of blocks 0 and 1
  const model::Architecture& a = model.architecture();
  engine::Engine engine(model);
  const CalibrationSet set = random_tokens(a.vocab, 32, 32, 7);
  DivergenceMeter meter(engine, set, 32 * 32);
  const Sensitivities result = sensitivities(engine, set);
  for (const std::size_t block : {0u, 1u})
    for (const model::Role role : {model::Role::k, model::Role::v, model::Role::embed_out}) {
      const std::size_t l = a.index(block, role);
      expect_noise_costs(engine, meter, result[l], l, a.linears[l].rows);
    }
}

TEST(Fisher, IsTheSameAtAnyThreadCount) {
  const model::Model model = golden("qwen3_moe");
  engine::Engine engine(model);
  const CalibrationSet set = random_tokens(model.architecture().vocab, 9, 24, 7);
  std::vector<double> values[2];
  for (const std::size_t threads : {1, 3}) {
    set_thread_count(threads);
    for (const Sensitivity& linear : sensitivities(engine, set)) {
      for (const std::vector<double>& part : linear.columns)
        values[threads / 2].insert(values[threads / 2].end(), part.begin(), part.end());
      values[threads / 2].insert(values[threads / 2].end(), linear.rows.begin(), linear.rows.end());
    }
  }
  set_thread_count(0);
  EXPECT_EQ(values[0], values[1]);
}

TEST(Fisher, ScoresLinearsInNats) {
  ScoreRequest request;
  request.signals = {&signal_by_name("fisher"), &signal_by_name("act_mse")};
  const std::vector<const codec::Codec*> codecs = {&codec::by_name("int4_g32"), &codec::by_name("int8_channel")};
  request.codecs = codecs;
  const auto scored = [&](const std::string& name) {
    const model::Model model = golden(name);
    engine::Engine engine(model);
    return score(engine, random_tokens(model.architecture().vocab, 8, 24, 7), request).scores;
  };
  for (const char* name : {"llama_untied_sharded", "mixtral", "qwen3_next", "olmo_hybrid", "lfm2_moe", "deepseek_v3",
                           "gemma4_text", "gemma4_text_moe"})
    for (const Scores scores = scored(name); const LinearScores& linear : scores.linears.at("fisher")) {
      ASSERT_GE(linear.codecs.size(), 1u) << linear.module;
      EXPECT_GT(linear.codecs.back().error, 0.0) << linear.module;
      EXPECT_EQ(linear.normalizer, 1.0) << linear.module;
      if (linear.codecs.size() == 1) continue;                                            // too few columns for 4 bits
      EXPECT_GT(linear.codecs[0].error, 10.0 * linear.codecs[1].error) << linear.module;  // 4 bits, 8 bits
    }
}

}  // namespace fisher_test
}  // namespace strata::importance
