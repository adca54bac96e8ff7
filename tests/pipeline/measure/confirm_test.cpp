// On a tiny model the groups that cost a plan most are measured at the codecs that it gives them, with the divergence
// that `kl` has there; a journal saves a second run the measurements.
#include "pipeline/measure/confirm.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "importance/signals/kl.h"
#include "pipeline/choose/gradient_costs.h"
#include "pipeline/choose/planner.h"
#include "support/random_tokens.h"
#include "support/temporary_folder.h"

namespace strata::pipeline {
namespace confirm_test {

class ConfirmedCosts : public testing::Test {
 protected:
  ConfirmedCosts() {
    importance::ScoreRequest wanted;
    for (const char* signal : {"act_mse", "fisher"}) wanted.signals.push_back(&importance::signal_by_name(signal));
    wanted.codecs = allowed_codecs(target_, {}).codecs;
    scored_.emplace(importance::score(engine_, set_, wanted));
    request_.budget = BitsBudget{4.0};
  }
  Plan plan_by(const importance::Scores& scores) const {
    return make_plan({model_, target_, request_, costs_of(scores, model_.architecture())}).plan;
  }
  importance::Scores confirmed(const std::filesystem::path& journal = {}) {
    importance::Scores scores = scored_->scores;
    confirm_costs(engine_, {&set_, 1}, scored_->inputs, {}, journal, scores, [&] { return plan_by(scores); });
    return scores;
  }

  model::Model model_ =
      model::Model::open(std::filesystem::path(STRATA_TEST_DATA) / "golden/models/llama_untied_sharded");
  const Target& target_ = target_by_name("transformers");
  engine::Engine engine_{model_};
  importance::CalibrationSet set_ = random_tokens(model_.architecture().vocab, 8, 16, 3);
  std::optional<importance::ScoreResult> scored_;
  PlanRequest request_;
};

TEST_F(ConfirmedCosts, TheChoicesOfThePlanAreMeasured) {
  const Plan first = plan_by(scored_->scores);
  const importance::Scores scores = confirmed();
  const auto& kl = scores.choices.at("kl");
  ASSERT_EQ(kl.size(), model_.architecture().groups.size());
  for (std::size_t g = 0; g < first.groups.size(); ++g) {
    if (!first.groups[g].codec->has_codes()) continue;
    ASSERT_FALSE(kl[g].empty()) << first.groups[g].name << ": a model this small is measured whole";
    EXPECT_EQ(kl[g].front().codec, first.groups[g].codec);
  }
  importance::MeasureRequest request{.codecs = {kl.front().front().codec}, .tokens = kConfirmTokens};
  EXPECT_EQ(importance::kl(engine_, set_, scored_->inputs, request).front().front().value, kl.front().front().value);
}

TEST_F(ConfirmedCosts, ThePlanCostsWhatWasMeasured) {
  const importance::Scores scores = confirmed();
  const Plan plan = plan_by(scores);
  std::size_t measured = 0;
  for (std::size_t g = 0; g < plan.groups.size(); ++g)
    for (const importance::Measurement& m : scores.choices.at("kl")[g]) {
      const double predicted =
          relative_error(scores.linears.at("fisher"), model_.architecture().groups[g], *plan.groups[g].codec);
      if (m.codec != plan.groups[g].codec || m.value < predicted / 4 || m.value > predicted * 4) continue;
      EXPECT_NEAR(plan.groups[g].cost, m.value, 1e-9 * m.value) << plan.groups[g].name;
      ++measured;
    }
  EXPECT_GT(measured, plan.groups.size() / 2);
}

TEST_F(ConfirmedCosts, AJournalGivesTheSameMeasurements) {
  const TemporaryFolder folder;
  const std::filesystem::path journal = folder.path() / "confirm.journal";
  const json first = confirmed(journal).to_json();
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "confirm.journal.1"));
  EXPECT_EQ(confirmed(journal).to_json(), first);
  EXPECT_EQ(confirmed().to_json(), first);
}

}  // namespace confirm_test
}  // namespace strata::pipeline
