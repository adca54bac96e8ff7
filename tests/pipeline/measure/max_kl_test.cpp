// The smallest plan under a limit, on a tiny model: it keeps the limit on the measured text, a looser limit never takes
// more bytes, and a limit of almost nothing keeps the original.
#include "pipeline/measure/max_kl.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "importance/score.h"
#include "pipeline/choose/costs.h"
#include "support/random_tokens.h"

namespace strata::pipeline {
namespace max_kl_test {

class MaxKl : public testing::Test {
 protected:
  MaxKl() {
    set_ = random_tokens(model_.architecture().vocab, 4, 16, 3);
    importance::ScoreRequest wanted;
    for (const char* signal : {"act_mse", "alpha"}) wanted.signals.push_back(&importance::signal_by_name(signal));
    wanted.codecs = allowed_codecs(target_, {}).codecs;
    scored_.emplace(importance::score(engine_, set_, wanted));
    meter_.emplace(engine_, set_, scored_->inputs, 64);
  }
  PlanResult under(double limit) {
    PlanRequest request;
    request.budget = KlBudget{limit};
    return plan_under_kl({model_, target_, request, costs_of(scored_->scores, model_.architecture())}, *meter_);
  }
  double measured(const PlanResult& result) { return meter_->measure(assignment_of(result.plan)).kl; }

  model::Model model_ =
      model::Model::open(std::filesystem::path(STRATA_TEST_DATA) / "golden/models/llama_untied_sharded");
  const Target& target_ = target_by_name("transformers");
  engine::Engine engine_{model_};
  importance::CalibrationSet set_;
  std::optional<importance::ScoreResult> scored_;
  std::optional<PlanMeter> meter_;
};

TEST_F(MaxKl, TheLimitIsKeptAndLooserLimitsTakeFewerBytes) {
  double bits = 17.0;
  for (const double limit : {1e-5, 1e-3, 1e-2, 0.1}) {
    const PlanResult result = under(limit);
    EXPECT_LE(measured(result), limit);
    EXPECT_LE(result.plan.bits(), bits) << limit;
    bits = result.plan.bits();
    EXPECT_FALSE(result.notes.empty());
  }
  EXPECT_LT(bits, 8.0);
}

TEST_F(MaxKl, AlmostNothingKeepsTheOriginal) { EXPECT_EQ(measured(under(1e-12)), 0.0); }

}  // namespace max_kl_test
}  // namespace strata::pipeline
