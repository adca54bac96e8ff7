// The seconds of every step of scoring follow what the step does, and a step that is not taken takes none.
#include "pipeline/job/scoring_speed.h"

#include <gtest/gtest.h>

#include "pipeline/choose/costs.h"
#include "support/open_golden.h"

namespace strata::pipeline {
namespace scoring_speed_test {

class ScoringSpeed : public ::testing::Test {
 protected:
  ScoringSeconds seconds() const { return scoring_seconds(model_, request_, needed_); }

  const model::Model model_ = tiny("llama_tied");
  QuantizeRequest request_;
  importance::ScoreRequest needed_ = scores_needed({}, target_by_name("vllm"), model_.architecture());
};

TEST_F(ScoringSpeed, EveryStepOfTheDefaultScoringTakesTime) {
  const ScoringSeconds all = seconds();
  for (const double step : {all.text, all.gradients, all.errors, all.measurements}) EXPECT_GT(step, 0.0);
  EXPECT_DOUBLE_EQ(all.sum(), all.text + all.gradients + all.errors + all.measurements);
}

TEST_F(ScoringSpeed, TextAndThePassOverItGrowWithTheCalibrationSet) {
  const ScoringSeconds few = seconds();
  request_.calibration.samples = 32 << 20;  // a million times as many: a machine that halts in between changes nothing
  const ScoringSeconds many = seconds();
  EXPECT_GT(many.text, 50 * few.text);
  EXPECT_GT(many.errors, 50 * few.errors);
}

TEST_F(ScoringSpeed, StepsThatAreNotTakenTakeNoTime) {
  request_.calibration.texts = {{"one.txt"}};
  EXPECT_EQ(seconds().text, 0.0);
  needed_.signals = {&importance::signal_by_name("lim")};
  needed_.codecs.clear();
  const ScoringSeconds pass = seconds();
  EXPECT_EQ(pass.gradients, 0.0);
  EXPECT_EQ(pass.measurements, 0.0);
  EXPECT_GT(pass.errors, 0.0);
}

TEST_F(ScoringSpeed, AlphasAreMeasuredForEveryGroup) {
  const ScoringSeconds gradients = seconds();
  needed_.signals = linear_cost_signals(needed_.codecs);
  const ScoringSeconds alphas = seconds();
  EXPECT_EQ(alphas.gradients, 0.0);
  EXPECT_GT(alphas.measurements, 0.0);
  EXPECT_GT(gradients.gradients, 0.0);
}

TEST_F(ScoringSpeed, PlansThatAreMeasuredAreCountedWithOrWithoutScoring) {
  EXPECT_EQ(seconds().plans, 0.0);
  request_.search.steps = 40;
  const double few = seconds().plans;
  EXPECT_GT(few, 0.0);
  request_.search.steps = 40 << 20;
  EXPECT_GT(seconds().plans, 50 * few);
  request_.search.seconds = 0.5 * few;
  EXPECT_DOUBLE_EQ(seconds().plans, 0.5 * few);
  request_.search = {};
  request_.plan.budget = KlBudget{0.1};
  needed_.signals.clear();
  const ScoringSeconds given = seconds();
  EXPECT_GT(given.plans, 0.0);
  EXPECT_EQ(given.measurements, 0.0);
}

TEST(ScoringSeconds, AreToldByStep) {
  EXPECT_EQ((ScoringSeconds{.text = 10.0, .gradients = 0.0, .errors = 20.0, .measurements = 12.0}.describe()),
            "42 s: text 10 s, errors of codecs 20 s, measurements of groups 12 s");
}

}  // namespace scoring_speed_test
}  // namespace strata::pipeline
