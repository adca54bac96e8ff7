// Tests sampling: greedy ties, frequencies of a known distribution, and equal tokens for equal seeds.
// Logits are made by hand, so that every probability is known.
#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "core/threads.h"

namespace strata::engine {
namespace sampler_test {

TEST(Sampler, TemperatureZeroTakesTheLowestOfTheLikeliest) {
  Random random(1);
  const std::vector<float> logits = {0.0f, 3.0f, 3.0f, -1.0f};
  EXPECT_EQ(sample(logits, {.temperature = 0.0}, random), 1u);
}

TEST(Sampler, LogitsThatAreNotFiniteAreRefused) {
  Random random(1);
  const std::vector<float> logits = {0.0f, INFINITY};
  EXPECT_THROW(sample(logits, {}, random), Error);
}

/// Draws come out as often as their probability says, within five standard deviations.
void expect_frequencies(const std::vector<float>& logits, const Sampling& sampling,
                        const std::vector<double>& expected) {
  constexpr int draws = 20000;
  Random random(3);
  std::vector<int> count(logits.size(), 0);
  for (int i = 0; i < draws; ++i) ++count[sample(logits, sampling, random)];
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double deviation = std::sqrt(expected[i] * (1 - expected[i]) / draws);
    EXPECT_NEAR(static_cast<double>(count[i]) / draws, expected[i], 5 * deviation + 1e-9) << i;
  }
}

TEST(Sampler, FrequenciesFollowTheSoftmaxAcrossStretchesOfTheVocabulary) {
  std::vector<float> logits(1500, -INFINITY);
  std::vector<double> expected(1500, 0.0);
  for (const auto& [id, p] : {std::pair{0, 0.1}, {511, 0.2}, {512, 0.3}, {1499, 0.4}}) {
    logits[static_cast<std::size_t>(id)] = static_cast<float>(std::log(p)) + 5.0f;
    expected[static_cast<std::size_t>(id)] = p;
  }
  expect_frequencies(logits, {.temperature = 1.0}, expected);
}

TEST(Sampler, TemperatureFlattensAndTopPCuts) {
  const std::vector<float> logits = {std::log(0.64f), std::log(0.32f), std::log(0.04f)};
  const double norm = 0.8 + std::sqrt(0.32) + 0.2;
  expect_frequencies(logits, {.temperature = 2.0}, {0.8 / norm, std::sqrt(0.32) / norm, 0.2 / norm});
  expect_frequencies(logits, {.temperature = 1.0, .top_p = 0.9}, {2.0 / 3, 1.0 / 3, 0.0});
}

TEST(Sampler, SelfGeneratedTextDependsOnTheSeedOnly) {
  const model::Model model = model::Model::open(std::filesystem::path(STRATA_TEST_DATA) / "golden/models/llama_tied");
  Engine engine(model);
  set_thread_count(1);
  const auto one = self_generate(engine, 1, 5, 12, 9);
  set_thread_count(3);
  EXPECT_EQ(self_generate(engine, 1, 5, 12, 9), one);
  set_thread_count(0);
  EXPECT_NE(self_generate(engine, 1, 5, 12, 10), one);
  ASSERT_EQ(one.size(), 5u);
  for (const auto& text : one) {
    EXPECT_EQ(text.size(), 12u);
    EXPECT_EQ(text.front(), 1u);
  }
}

TEST(Sampler, GenerationStopsAtAStopToken) {
  const model::Model model = model::Model::open(std::filesystem::path(STRATA_TEST_DATA) / "golden/models/llama_tied");
  Engine engine(model);
  const std::vector<Token> prompt = {1, 2, 3};
  const auto all = [](Token) { return true; };
  const auto free = generate(engine, prompt, 6, {}, {}, all);
  ASSERT_EQ(free.size(), 6u);
  const std::vector<Token> stop = {free[2]};
  const auto stopped = generate(engine, prompt, 6, {}, stop, all);
  EXPECT_LE(stopped.size(), 2u);
  EXPECT_THROW(generate(engine, {}, 6, {}, {}, all), Error);
}

}  // namespace sampler_test
}  // namespace strata::engine
