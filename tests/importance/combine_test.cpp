// Several calibration sets are scored one by one, combined by mean or max after each is normalised, and compared with
// each other; so are the halves of one set.
#include <cmath>

#include "importance/score.h"
#include "support/random_tokens.h"
#include "support/tiny_model.h"

namespace strata::importance {
namespace combine_test {

using ::strata::fixtures::error_of;
using ::strata::fixtures::golden_model;

class CombineTest : public ::testing::Test {
 protected:
  CombineTest() {
    for (const Signal& signal : signals()) request_.signals.push_back(&signal);
    request_.codecs = {&codec::by_name("int4_channel"), &codec::by_name("int8_channel")};
    request_.measure.tokens = 24;
    for (const std::uint64_t seed : {1, 2}) sets_.push_back(random_tokens(model_.architecture().vocab, 4, 12, seed));
  }
  Scores combined(Combine how) { return score(engine_, sets_, request_, how).scores; }

  model::Model model_ = model::Model::open(golden_model("llama_untied_sharded"));
  engine::Engine engine_{model_};
  std::vector<CalibrationSet> sets_;
  ScoreRequest request_;
};

double mean_of(const std::vector<double>& values) { return estimate(values).mean; }

TEST_F(CombineTest, EverySetCountsAlike) {
  const Scores scores = combined(Combine::mean);
  ASSERT_EQ(scores.sets.size(), 2u);
  EXPECT_EQ(scores.calibration.samples, 8u);
  const auto& one = scores.sets[0].groups.at("alpha").values;
  const auto& two = scores.sets[1].groups.at("alpha").values;
  const double m1 = mean_of(one), m2 = mean_of(two), common = (m1 + m2) / 2;
  for (std::size_t g = 0; g < one.size(); ++g)
    EXPECT_NEAR(scores.groups.at("alpha").values[g], common * (one[g] / m1 + two[g] / m2) / 2, 1e-12 * common);
  EXPECT_EQ(scores.blocks.at("zd").values, scores.sets[0].blocks.at("zd").values);
  EXPECT_DOUBLE_EQ(scores.blocks.at("lim").values[1],
                   (scores.sets[0].blocks.at("lim").values[1] + scores.sets[1].blocks.at("lim").values[1]) / 2);
}

TEST_F(CombineTest, MaxTakesTheSetThatFindsMoreImportance) {
  const Scores scores = combined(Combine::max);
  for (const char* name : {"lim", "residual"}) {
    const double sign = signal_by_name(name).direction == Direction::smaller_is_important ? -1 : 1;
    for (std::size_t b = 0; b < model_.architecture().blocks; ++b)
      EXPECT_EQ(sign * scores.blocks.at(name).values[b], std::max(sign * scores.sets[0].blocks.at(name).values[b],
                                                                  sign * scores.sets[1].blocks.at(name).values[b]))
          << name;
  }
  const LinearScores& q = scores.linears.at("act_mse")[0];
  EXPECT_DOUBLE_EQ(
      q.relative(q.codecs[0]),
      std::max(scores.sets[0].linears.at("act_mse")[0].relative(scores.sets[0].linears.at("act_mse")[0].codecs[0]),
               scores.sets[1].linears.at("act_mse")[0].relative(scores.sets[1].linears.at("act_mse")[0].codecs[0])));
}

TEST_F(CombineTest, IsWrittenAndReadBackWithItsSets) {
  const Scores scores = combined(Combine::max);
  const json value = scores.to_json();
  const Scores read = Scores::from_json(parse_json(value.dump(), "s.json"), model_, "s.json");
  EXPECT_EQ(read.to_json().dump(), value.dump());
  EXPECT_EQ(value["agreement"].size(), 1u);
  EXPECT_EQ(value["agreement"][0]["spearman"]["zd"], 1.0);
  const auto refusal = [&](const auto& change) {
    json damaged = value;
    change(damaged);
    return error_of([&] { Scores::from_json(damaged, model_, "s.json"); });
  };
  EXPECT_NE(refusal([](json& v) { v["sets"].erase(1); }).find("'sets' has 1"), std::string::npos);
  EXPECT_NE(refusal([](json& v) { v["combine"] = "sum"; }).find("'combine' is \"sum\""), std::string::npos);
  EXPECT_NE(refusal([](json& v) { v["sets"][1]["groups"].erase("alpha"); }).find("not scored alike: alpha"),
            std::string::npos);
  EXPECT_NE(refusal([](json& v) {
              v["sets"][1]["linears"]["act_mse"]["linears"][3]["codecs"].erase("int4_channel");
            }).find("not scored alike: act_mse"),
            std::string::npos);
  EXPECT_NE(refusal([](json& v) { v["sets"][0]["blocks"]["lim"]["values"].erase(0); }).find("set 1: lim: values has"),
            std::string::npos);
  EXPECT_FALSE(refusal([](json& v) { v["sets"][0] = 3; }).empty());
}

TEST_F(CombineTest, StabilityIsTheAgreementOfTheHalves) {
  const Scores whole = score(engine_, sets_[0], request_).scores;
  std::vector<Scores> halves;
  for (const std::size_t first : {0, 2}) {
    std::vector<std::vector<engine::Token>> half(sets_[0].sequences.begin() + static_cast<std::ptrdiff_t>(first),
                                                 sets_[0].sequences.begin() + static_cast<std::ptrdiff_t>(first) + 2);
    halves.push_back(score(engine_, calibration_from_tokens(half, {{"x"}}), request_).scores);
  }
  const auto want = rank_agreement(halves[0], halves[1]);
  for (const char* name : {"lim", "lim_flat", "residual", "spike", "spike_out"})
    EXPECT_NEAR(whole.stability.at(name), want.at(name), 1e-12) << name;
  for (const char* name : {"act_mse", "hessian", "alpha", "kl"}) EXPECT_TRUE(whole.stability.contains(name)) << name;
  for (const char* name : {"zd", "prior"}) EXPECT_FALSE(whole.stability.contains(name)) << name;
  const CalibrationSet single = random_tokens(model_.architecture().vocab, 1, 12, 1);
  const Scores alone = score(engine_, single, request_).scores;
  EXPECT_TRUE(alone.stability.empty());
  EXPECT_TRUE(alone.blocks.at("lim").standard_errors.empty());
}

}  // namespace combine_test
}  // namespace strata::importance
