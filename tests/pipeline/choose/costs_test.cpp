// Scores become costs by measurement where there is one, else by the alpha of the codec's kind of grid.
// The architecture is that of a tiny model; the scores are made up here.
#include "pipeline/choose/costs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

namespace strata::pipeline {
namespace costs_test {

class CostsOfScores : public testing::Test {
 protected:
  CostsOfScores() {
    const model::Architecture& a = model_.architecture();
    std::vector<importance::LinearScores>& linears = scores_.linears["act_mse"];
    for (const model::Linear& linear : a.linears)
      linears.push_back({linear.module, 1.0, {{&int4_, 1, 0.02}, {&int8_, 1, 0.001}, {&nvfp4_, 1, 0.01}}});
    groups_ = a.groups.size();
  }
  void set(const char* signal, double value) { scores_.groups[signal].values.assign(groups_, value); }
  double cost(const codec::Codec& codec, Pricing pricing = Pricing::own) const {
    return costs_of(scores_, model_.architecture(), pricing).linears.front().at(&codec);
  }

  model::Model model_ =
      model::Model::open(std::filesystem::path(STRATA_TEST_DATA) / "golden/models/llama_untied_sharded");
  const codec::Codec& int4_ = codec::by_name("int4_g32");
  const codec::Codec& int8_ = codec::by_name("int8_channel");
  const codec::Codec& nvfp4_ = codec::by_name("nvfp4");
  importance::Scores scores_;
  std::size_t groups_ = 0;
};

TEST_F(CostsOfScores, EveryKindOfGridHasItsAlpha) {
  set("alpha", 3.0);
  set("alpha_int", 5.0);
  EXPECT_DOUBLE_EQ(cost(nvfp4_), 3.0 * 0.01);
  EXPECT_DOUBLE_EQ(cost(int4_), 5.0 * 0.02);
  EXPECT_DOUBLE_EQ(cost(int8_), 5.0 * 0.001);
  EXPECT_DOUBLE_EQ(cost(nvfp4_, Pricing::mean), 3.0 * 0.01);
  EXPECT_DOUBLE_EQ(cost(int4_, Pricing::mean), std::sqrt(3.0 * 5.0) * 0.02) << "half of what sets the kinds apart";
}

TEST_F(CostsOfScores, AnotherAlphaServesWhereThereIsOnlyOne) {
  EXPECT_DOUBLE_EQ(cost(int4_), 0.02) << "no alpha at all: the relative error";
  set("alpha", 3.0);
  EXPECT_DOUBLE_EQ(cost(int4_), 3.0 * 0.02);
  scores_.groups.clear();
  set("alpha_int", 5.0);
  EXPECT_DOUBLE_EQ(cost(nvfp4_), 5.0 * 0.01);
}

TEST_F(CostsOfScores, AGroupThatAnAlphaDidNotMeasureHasThatOfAnother) {
  set("alpha", 3.0);
  set("alpha_int", 0.0);
  EXPECT_DOUBLE_EQ(cost(int4_), 3.0 * 0.02);
}

TEST_F(CostsOfScores, MeasurementsComeBeforeAlphas) {
  set("alpha", 3.0);
  set("alpha_int", 5.0);
  auto& measured = scores_.choices["kl"];
  measured.resize(groups_);
  const model::FusionGroup& group = model_.architecture().groups[model_.architecture().linears.front().group];
  const double of_group = 0.02 * static_cast<double>(group.linears.size());
  for (auto& of : measured) of.push_back({&int4_, 0.7, 0.0, {}});
  EXPECT_DOUBLE_EQ(cost(int4_), 0.7 / of_group * 0.02);
  EXPECT_DOUBLE_EQ(cost(int8_), 0.7 / of_group * 0.001) << "in proportion to the error, from the codec most alike";
}

TEST_F(CostsOfScores, ErrorsInNatsAreCostsWhereNothingWasMeasured) {
  auto& fisher = scores_.linears["fisher"];
  fisher = scores_.linears["act_mse"];
  for (importance::LinearScores& linear : fisher) linear.codecs[0].error = 0.3;
  EXPECT_DOUBLE_EQ(cost(int4_), 0.3);
  EXPECT_EQ(costs_of(scores_, model_.architecture(), Pricing::own).signal, "fisher");
  set("alpha", 3.0);
  EXPECT_DOUBLE_EQ(cost(int4_), 3.0 * 0.02);
  scores_.groups.clear();
  scores_.linears.erase("act_mse");
  EXPECT_DOUBLE_EQ(cost(int4_), 0.3);
}

TEST(CostSignals, AreThoseOfTheCodecsAtHand) {
  const auto names = [](const char* target) {
    std::vector<std::string> result;
    for (const importance::Signal* signal : linear_cost_signals(allowed_codecs(target_by_name(target), {}).codecs))
      result.emplace_back(signal->name);
    return result;
  };
  EXPECT_EQ(names("vllm:marlin"), (std::vector<std::string>{"alpha", "alpha_int", "act_mse"}));
  EXPECT_EQ(names("vllm"), (std::vector<std::string>{"alpha", "alpha_int", "alpha_int3", "act_mse"}));
  EXPECT_EQ(names("transformers"), (std::vector<std::string>{"alpha", "alpha_int", "alpha_int3", "act_mse"}));
  EXPECT_EQ(names("llama.cpp"), (std::vector<std::string>{"alpha_ggml", "alpha_ggml3", "act_mse"}));
}

}  // namespace costs_test
}  // namespace strata::pipeline
