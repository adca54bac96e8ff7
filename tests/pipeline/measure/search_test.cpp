// On a tiny model the search stays within the budget, is never worse than the plan it starts from on either text, gives
// the same plan on every run, and learns its costs from what it measures.
#include "pipeline/measure/search.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "importance/score.h"
#include "pipeline/choose/costs.h"
#include "pipeline/measure/change_costs.h"
#include "support/random_tokens.h"

namespace strata::pipeline {
namespace search_test {

class PlanSearch : public testing::Test {
 protected:
  PlanSearch() {
    set_ = random_tokens(model_.architecture().vocab, 8, 16, 3);
    importance::ScoreRequest wanted;
    for (const char* signal : {"act_mse", "alpha"}) wanted.signals.push_back(&importance::signal_by_name(signal));
    wanted.codecs = allowed_codecs(target_, {}).codecs;
    scored_.emplace(importance::score(engine_, set_, wanted));
    costs_ = costs_of(scored_->scores, model_.architecture());
    request_.budget = BitsBudget{4.0};
  }
  PlanResult searched(std::size_t steps) const {
    SearchOptions options;
    options.steps = steps;
    options.tokens = 64;
    return search_on_set({model_, target_, request_, costs_}, set_, scored_->inputs, options);
  }

  model::Model model_ =
      model::Model::open(std::filesystem::path(STRATA_TEST_DATA) / "golden/models/llama_untied_sharded");
  const Target& target_ = target_by_name("transformers");
  engine::Engine engine_{model_};
  importance::CalibrationSet set_;
  std::optional<importance::ScoreResult> scored_;
  Costs costs_;
  PlanRequest request_;
};

TEST_F(PlanSearch, NeverWorseOnEitherTextAndWithinTheBudget) {
  const PlanResult result = searched(60);
  const json& search = result.plan.search;
  EXPECT_LE(search["kl_after"].get<double>(), search["kl_before"].get<double>());
  EXPECT_LE(search["held_out_kl_after"].get<double>(), search["held_out_kl_before"].get<double>());
  EXPECT_LE(search["steps"].get<std::size_t>(), 62u);
  EXPECT_LE(result.plan.bits(), 4.0);
  EXPECT_GT(search["plans_taken"].get<std::size_t>(), 0u) << "an estimate this rough leaves something to find";
  EXPECT_EQ(Plan::from_json(result.plan.to_json(), model_, "plan.json").to_json(), result.plan.to_json());
}

TEST_F(PlanSearch, TheSameStepsGiveTheSamePlan) { EXPECT_EQ(searched(25).plan.to_json(), searched(25).plan.to_json()); }

TEST_F(PlanSearch, PinsAreKept) {
  request_.assign = {{"down_proj", "int4_g32"}};
  request_.at_least = {{"o_proj", "int4_g32"}};
  const PlanResult result = searched(40);
  for (const PlannedGroup& group : result.plan.groups) {
    if (group.name.ends_with("down_proj")) {
      EXPECT_EQ(group.codec->name, "int4_g32");
    }
    if (group.name.ends_with("o_proj")) {
      EXPECT_GE(8.0 * static_cast<double>(group.bytes), 4.5 * static_cast<double>(group.weights));
    }
  }
}

TEST_F(PlanSearch, StatesKeptOfOnePlanDoNotChangeWhatOthersMeasure) {
  PlanMeter plain(engine_, set_, scored_->inputs, 64);
  engine::Engine other(model_);
  PlanMeter rebased(other, set_, scored_->inputs, 64);
  Assignment low, mixed;
  for (std::size_t g = 0; g < model_.architecture().groups.size(); ++g) {
    low.push_back(&codec::by_name("int4_g32"));
    mixed.push_back(&codec::by_name(g % 3 == 2 ? "int8_channel" : "int4_g32"));
  }
  rebased.rebase(low);
  EXPECT_EQ(plain.measure(mixed).kl, rebased.measure(mixed).kl);
  rebased.rebase(mixed);
  EXPECT_EQ(plain.measure(low).kl, rebased.measure(low).kl);
}

TEST(ChangeCosts, MeasurementsReplaceEstimatesAndCorrectThoseOfLikeChanges) {
  const codec::Codec &low = codec::by_name("int4_g32"), &high = codec::by_name("int8_channel");
  const std::vector<Choice> choices = {{&low, 100, 1.0}, {&high, 200, 0.2}};
  ChangeCosts costs({choices, choices, choices}, {&low, &low, &low});
  EXPECT_DOUBLE_EQ(costs.change(0, high), -0.8);
  costs.measured(0, high, -0.4);
  EXPECT_DOUBLE_EQ(costs.change(0, high), -0.4);
  EXPECT_NEAR(costs.change(1, high), -0.4, 1e-9);  // all changes cost half of what was expected
  EXPECT_LT(costs.deviation(0, high), costs.deviation(1, high));
  costs.move_to({&high, &low, &low});
  EXPECT_DOUBLE_EQ(costs.change(0, low), 0.4);
  EXPECT_EQ(costs.change(0, high), 0.0);
}

TEST(PlanSearchSteps, DependOnTheModelOnly) {
  model::Architecture small, large;
  small.hidden = 576, small.vocab = 49152;
  small.blocks = 1, small.intermediate = 1536, small.heads = 9, small.kv_heads = 3, small.head_dim = 64;
  model::list_linears(small);
  EXPECT_GT(default_search_steps(small, 1024), 30u);
  large = small;
  large.linears.clear(), large.groups.clear();
  large.hidden = 8192, large.intermediate = 28672, large.blocks = 80, large.heads = 64, large.kv_heads = 8;
  large.head_dim = 128;
  model::list_linears(large);
  EXPECT_EQ(default_search_steps(large, 1024), 0u);
}

}  // namespace search_test
}  // namespace strata::pipeline
