// Costs by gradients are fisher's until something was measured; then that group has what was measured, and what it
// shows of fisher is passed on by kind of grid. The architecture is that of a tiny model; the scores are made up here.
#include "pipeline/choose/gradient_costs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

namespace strata::pipeline {
namespace gradient_costs_test {

class GradientCosts : public testing::Test {
 protected:
  GradientCosts() {
    for (const model::Linear& linear : a_.linears) {
      scores_.linears["fisher"].push_back(
          {linear.module, 1.0, {{&int4_, 1, 0.2}, {&int8_, 1, 0.01}, {&nvfp4_, 1, 0.1}}});
      scores_.linears["act_mse"].push_back(
          {linear.module, 1.0, {{&int4_, 1, 0.02}, {&int8_, 1, 0.001}, {&nvfp4_, 1, 0.02}}});
    }
  }
  /// Measures a group at a codec: `ratio` times what fisher says.
  void measure(std::size_t group, const codec::Codec& codec, double ratio) {
    auto& measured = scores_.choices["kl"];
    measured.resize(a_.groups.size());
    measured[group].push_back(
        {&codec, ratio * relative_error(scores_.linears["fisher"], a_.groups[group], codec), 0.0, {}});
  }
  double cost(std::size_t group, const codec::Codec& codec, Pricing pricing = Pricing::own) const {
    return gradient_costs(scores_, a_, pricing).linears[a_.groups[group].linears.front()].at(&codec);
  }

  model::Model model_ =
      model::Model::open(std::filesystem::path(STRATA_TEST_DATA) / "golden/models/llama_untied_sharded");
  const model::Architecture& a_ = model_.architecture();
  const codec::Codec& int4_ = codec::by_name("int4_g64");
  const codec::Codec& int8_ = codec::by_name("int8_channel");
  const codec::Codec& nvfp4_ = codec::by_name("nvfp4");
  importance::Scores scores_;
};

TEST_F(GradientCosts, AreFishersWhereNothingWasMeasured) {
  EXPECT_DOUBLE_EQ(cost(0, int4_), 0.2);
  EXPECT_DOUBLE_EQ(cost(1, nvfp4_), 0.1);
  EXPECT_EQ(gradient_costs(scores_, a_, Pricing::own).signal, "fisher");
  EXPECT_TRUE(has_gradient_costs(scores_));
  scores_.groups["alpha_int"].values.assign(a_.groups.size(), 1.0);
  EXPECT_FALSE(has_gradient_costs(scores_)) << "an alpha prices the codecs";
  scores_.linears.erase("act_mse");
  EXPECT_TRUE(has_gradient_costs(scores_)) << "an alpha without errors prices nothing";
  EXPECT_DOUBLE_EQ(costs_of(scores_, a_).linears.front().at(&int4_), 0.2);
}

TEST_F(GradientCosts, AMeasuredGroupCostsWhatWasMeasured) {
  measure(0, int4_, 1.5);
  EXPECT_NEAR(cost(0, int4_), 1.5 * 0.2, 1e-12);
  EXPECT_NEAR(cost(0, int8_), 1.5 * 0.01, 1e-12) << "a codec of the same kind of grid";
  EXPECT_EQ(gradient_costs(scores_, a_, Pricing::own).signal, "fisher, kl");
}

TEST_F(GradientCosts, OtherGroupsHaveTheMeanOfTheKindAndOfTheirRole) {
  // A group of each role, in the order of a block: qkv, o, gate and up, down.
  for (const std::size_t g : {0u, 1u, 2u, 3u}) measure(g, int4_, g == 3 ? 2.0 : 1.0);
  const double of_kind = std::log(2.0) / 8;  // 4 measurements count as much as 4 that show nothing
  const double of_down = (std::log(2.0) - of_kind) / 5;
  EXPECT_NEAR(cost(7, int4_), 0.2 * std::exp(of_kind + of_down), 1e-12);
  EXPECT_NEAR(cost(5, int4_), 0.2 * std::exp(of_kind - of_kind / 5), 1e-12);
  EXPECT_DOUBLE_EQ(cost(7, nvfp4_), 0.1) << "none was of this kind";
}

TEST_F(GradientCosts, WhatSetsAGroupApartIsPartlySeenUnderOtherKinds) {
  measure(0, int4_, 2.0);
  const double of_kind = std::log(2.0) / 5, of_role = (std::log(2.0) - of_kind) / 5;
  EXPECT_NEAR(cost(0, nvfp4_), 0.1 * std::exp(0.4 * (std::log(2.0) - of_kind - of_role)), 1e-12);
}

TEST_F(GradientCosts, CorrectionsAreBounded) {
  measure(0, int4_, 0.0);
  measure(1, int4_, 100.0);
  EXPECT_NEAR(cost(0, int4_), 0.2 / 4, 1e-12);
  EXPECT_NEAR(cost(1, int4_), 0.2 * 4, 1e-12);
}

TEST_F(GradientCosts, WithErrorFeedbackHalfOfWhatSetsKindsApartRemains) {
  // A unit of relative error costs 10 with int4_g64 and 5 with nvfp4, the first kind.
  EXPECT_NEAR(cost(0, int4_, Pricing::mean), 0.2 * std::sqrt(5.0 / 10.0), 1e-12);
  EXPECT_NEAR(cost(0, nvfp4_, Pricing::mean), 0.1, 1e-12);
}

}  // namespace gradient_costs_test
}  // namespace strata::pipeline
