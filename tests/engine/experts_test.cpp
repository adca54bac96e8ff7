// Tests routing by hand-made scores, and what a watcher of the experts is shown.
// engine_test.cpp compares whole mixtures with transformers.
#include "engine/experts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "core/threads.h"
#include "engine/engine.h"
#include "engine/modes.h"

namespace strata::engine {
namespace experts_test {

using Score = model::Experts::Score;

model::Model golden(const char* name) {
  return model::Model::open(std::filesystem::path(STRATA_TEST_DATA) / "golden/models" / name);
}

TEST(Route, TakesTheBestExpertsAndTheFirstOfEquals) {
  const model::Experts experts{.count = 4, .used = 2, .normalize = true};
  const float logits[] = {0, 1, 1, 1, std::log(3.0f), 0, -5, 0};
  const std::vector<Share> shares = route(experts, logits, 2, {});
  ASSERT_EQ(shares.size(), 4u);
  EXPECT_EQ(shares[0].tokens, (std::vector<std::uint32_t>{1}));
  EXPECT_EQ(shares[1].tokens, (std::vector<std::uint32_t>{0, 1}));
  EXPECT_EQ(shares[2].tokens, (std::vector<std::uint32_t>{0}));
  EXPECT_TRUE(shares[3].tokens.empty());
  EXPECT_NEAR(shares[0].weights[0], 0.75, 1e-6);
  EXPECT_NEAR(shares[1].weights[0], 0.5, 1e-6);
  EXPECT_NEAR(shares[1].weights[1], 0.25, 1e-6);
}

TEST(Route, WithoutNormalizingTheWeightsAreTheSoftmax) {
  const float logits[] = {std::log(1.0f), std::log(2.0f), std::log(5.0f)};
  const std::vector<Share> shares = route({.count = 3, .used = 1}, logits, 1, {});
  EXPECT_NEAR(shares[2].weights.at(0), 0.625, 1e-6);
}

TEST(Route, TheCorrectionChoosesButDoesNotWeigh) {
  const model::Experts experts{.count = 2, .used = 1, .score = Score::sigmoid, .scale = 2.0f};
  const float logits[] = {1, 0}, correction[] = {0, 1};
  const std::vector<Share> shares = route(experts, logits, 1, correction);
  EXPECT_TRUE(shares[0].tokens.empty());
  EXPECT_NEAR(shares[1].weights.at(0), 1.0, 1e-6);
}

TEST(Route, OnlyTheBestGroupsAreChosenFrom) {
  const model::Experts experts{.count = 4, .used = 2, .score = Score::sigmoid, .groups = 2, .groups_used = 1};
  const float logits[] = {2, -9, 1, 1};  // the best expert is in the worse group
  const std::vector<Share> shares = route(experts, logits, 1, {});
  EXPECT_TRUE(shares[0].tokens.empty());
  EXPECT_EQ(shares[2].tokens.size() + shares[3].tokens.size(), 2u);
}

TEST(Route, SparseScoresWeighEachChoiceAmongThoseNearIt) {
  const model::Experts experts{.count = 4, .used = 2, .score = Score::sparse, .nearness = 0.1f};
  // Of the outputs, 1.9 is within a tenth of 2, and so is 1.75 of 1.9 but not of 2.
  const float logits[] = {1.75f, 2.0f, 1.0f, 1.9f, -2.0f, -2.1f, -1.0f, -9.0f};
  const std::vector<Share> shares = route(experts, logits, 2, {});
  EXPECT_EQ(shares[1].tokens, (std::vector<std::uint32_t>{0}));
  EXPECT_NEAR(shares[1].weights[0], 1 / (1 + std::exp(-0.1)), 1e-6);
  EXPECT_EQ(shares[3].tokens, (std::vector<std::uint32_t>{0}));
  EXPECT_NEAR(shares[3].weights[0], 1 / (1 + std::exp(-0.15)), 1e-6);
  EXPECT_EQ(shares[2].tokens, (std::vector<std::uint32_t>{1}));
  EXPECT_EQ(shares[2].weights[0], 1.0f) << "nothing is near the best";
  EXPECT_EQ(shares[0].tokens, (std::vector<std::uint32_t>{1}));
  EXPECT_NEAR(shares[0].weights[0], 1 / (1 + std::exp(-0.1)), 1e-6);
}

TEST(Route, SparseScoresOfNanStillChooseDifferentExperts) {
  const model::Experts experts{.count = 3, .used = 2, .score = Score::sparse, .nearness = 0.02f};
  const std::vector<float> logits(3, std::nanf(""));
  std::size_t chosen = 0;
  for (const Share& share : route(experts, logits.data(), 1, {})) {
    EXPECT_LE(share.tokens.size(), 1u);
    chosen += share.tokens.size();
  }
  EXPECT_EQ(chosen, 2u);
}

TEST(Route, NanScoresStillChooseDifferentExperts) {
  const std::vector<float> logits(4, NAN);
  std::size_t chosen = 0;
  for (const Share& share : route({.count = 4, .used = 3}, logits.data(), 1, {})) chosen += share.tokens.size();
  EXPECT_EQ(chosen, 3u);
}

std::vector<float> run(Engine& engine, std::size_t tokens) {
  std::vector<Token> ids;
  for (std::size_t t = 0; t < tokens; ++t) ids.push_back(static_cast<Token>(t * 7 % 80));
  const Sequence sequence{tokens};
  return engine.forward(ids, {&sequence, 1});
}

TEST(Experts, AWatcherSeesEveryTokenWhereItIsRoutedAndChangesNothing) {
  for (const char* name : {"qwen3_moe", "qwen2_moe", "mixtral"}) {
    const model::Model model = golden(name);
    Engine engine(model);
    const std::vector<float> plain = run(engine, 30);
    std::map<std::size_t, std::size_t> routed;
    std::size_t fed = 0;
    const ExpertWatch watch{.show =
                                [&](const ExpertRows& rows) {
                                  EXPECT_EQ(rows.size, 32u);
                                  EXPECT_TRUE(std::is_sorted(rows.tokens.begin(), rows.tokens.end()));
                                  if (rows.routed && rows.site == Site::down_in)
                                    routed[rows.block] += rows.tokens.size();
                                  if (rows.routed) return;
                                  EXPECT_EQ(rows.tokens.size(), 30u);
                                  ++fed;
                                },
                            .feed_all = [](std::size_t expert, std::size_t) { return expert == 1; }};
    {
      const Watching watching(engine, &watch);
      EXPECT_EQ(run(engine, 30), plain);
    }
    const model::Architecture& a = engine.architecture();
    for (std::size_t b = 0; b < a.blocks; ++b) EXPECT_EQ(routed[b], 30 * a.experts.used) << name;
    EXPECT_EQ(fed, 2 * a.blocks) << name;
  }
}

TEST(Experts, APassThatEndsAtASiteLeavesTheStatesAndRunsTheWatchedOnly) {
  const model::Model model = golden("glm4_moe");
  Engine engine(model);
  const Sequence sequence{5};
  const Batch batch = engine.make_batch({&sequence, 1});
  std::vector<float> h(5 * 32, 0.5f);
  const std::vector<float> before = h;
  std::set<std::size_t> seen;
  const ExpertWatch watch{.show = [&](const ExpertRows& rows) { seen.insert(rows.expert); },
                          .feed_all = [](std::size_t, std::size_t) { return true; },
                          .first = 2,
                          .end = 5};
  const Watching watching(engine, &watch);
  for (const Site site : {Site::mlp_in, Site::down_in})
    engine.feed_forward(1, batch, h.data(), h.data(), nullptr, site);
  EXPECT_EQ(h, before);
  EXPECT_EQ(seen, (std::set<std::size_t>{2, 3, 4}));
}

TEST(Experts, TheSameAtAnyThreadCountAndResidency) {
  const model::Model model = golden("qwen3_moe");
  Engine engine(model), frugal(model, kernel::Precision::f32, Residency::one_block);
  set_thread_count(1);
  const std::vector<float> one = run(engine, 60);
  set_thread_count(3);
  EXPECT_EQ(run(engine, 60), one);
  EXPECT_EQ(run(frugal, 60), one);
  set_thread_count(0);
}

}  // namespace experts_test
}  // namespace strata::engine
