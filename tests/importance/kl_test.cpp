// Measures kl of every group and codec of a tiny random model, resumed at any unit with the same result, and tests the
// judge on scores whose order is known.
#include "importance/signals/kl.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/file.h"
#include "importance/judge.h"
#include "importance/score.h"
#include "support/random_tokens.h"

namespace strata::importance {
namespace kl_test {

class KlTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  MeasureRequest request() const {
    return {
        {&codec::by_name("int4_channel"), &codec::by_name("int8_channel")}, 32, folder_ / "scores.json.journal", {}};
  }

  const std::filesystem::path folder_ =
      std::filesystem::path(testing::TempDir()) /
      fmt::format("kl_{}", testing::UnitTest::GetInstance()->current_test_info()->name());
  model::Model model_ =
      model::Model::open(std::filesystem::path(STRATA_TEST_DATA) / "golden/models/llama_untied_sharded");
  engine::Engine engine_{model_};
  CalibrationSet set_ = random_tokens(model_.architecture().vocab, 2, 16, 5);
  InputMeanSquare inputs_ = input_mean_square(engine_, set_);
};

std::vector<double> values(const std::vector<std::vector<Measurement>>& result) {
  std::vector<double> all;
  for (const auto& group : result)
    for (const Measurement& m : group) all.push_back(m.value);
  return all;
}

TEST_F(KlTest, FewerBitsDivergeMore) {
  const auto result = kl(engine_, set_, inputs_, request());
  ASSERT_EQ(result.size(), model_.architecture().groups.size());
  for (const auto& group : result) {
    ASSERT_EQ(group.size(), 2u);
    EXPECT_GT(group[0].value, group[1].value);
    EXPECT_GT(group[0].standard_error, 0.0);
  }
}

TEST_F(KlTest, ResumesAnywhereWithTheSameResult) {
  const std::vector<double> expected = values(kl(engine_, set_, inputs_, request()));
  const std::string journal = read_text_file(request().journal);
  for (const std::size_t size : {std::size_t{0}, journal.size() / 3, journal.size() / 2, journal.size() - 1}) {
    std::ofstream(request().journal, std::ios::binary | std::ios::trunc) << journal.substr(0, size);
    EXPECT_EQ(values(kl(engine_, set_, inputs_, request())), expected);
    EXPECT_EQ(read_text_file(request().journal), journal);
  }
  set_.source.files = {"elsewhere/the_same.txt"};
  EXPECT_EQ(values(kl(engine_, set_, inputs_, request())), expected);
  check_journal(engine_, set_, request());
  MeasureRequest other = request();
  other.tokens = 16;
  EXPECT_THROW(kl(engine_, set_, inputs_, other), Error);
  EXPECT_THROW(check_journal(engine_, set_, other), Error);
  EXPECT_EQ(read_text_file(request().journal), journal);
}

/// A group is measured with the inputs that its codec is run with, beside measurements of weights alone in one journal.
TEST_F(KlTest, GroupsReadTheirInputsRounded) {
  MeasureRequest of_weights = request();
  of_weights.codecs = {&codec::by_name("mxfp8_a8")};
  of_weights.tokens = 16;
  MeasureRequest as_it_runs = of_weights;
  as_it_runs.rounded_inputs.kinds = {{of_weights.codecs[0], codec::ActivationRounding::Kind::mxfp8}};
  const std::vector<double> alone = values(kl(engine_, set_, inputs_, of_weights));
  const std::vector<double> together = values(kl(engine_, set_, inputs_, as_it_runs));
  ASSERT_EQ(alone.size(), together.size());
  double more = 0;
  for (std::size_t i = 0; i < alone.size(); ++i) more += together[i] > alone[i] ? 1 : 0;
  EXPECT_GT(more, 0.8 * static_cast<double>(alone.size()));
  EXPECT_EQ(values(kl(engine_, set_, inputs_, of_weights)), alone);
  EXPECT_EQ(values(kl(engine_, set_, inputs_, as_it_runs)), together);
  EXPECT_NE(read_text_file(of_weights.journal).find("mxfp8_a8 reading mxfp8"), std::string::npos);

  // Nothing else is rounded: a whole pass with this one group's weights and inputs says the same.
  const model::Architecture& a = model_.architecture();
  std::vector<codec::ActivationRounding> rounding(a.linears.size());
  for (const std::size_t l : a.groups[0].linears) rounding[l].kind = codec::ActivationRounding::Kind::mxfp8;
  DivergenceMeter meter(engine_, set_, 16);
  engine::Replacing replacing(engine_);
  const RoundedGroup rounded(model_, a.groups[0], *of_weights.codecs[0], inputs_);
  rounded.put_into(replacing);
  const engine::RoundingInputs mode(engine_, rounding);
  EXPECT_NEAR(meter.measure_sequences(0)[0], together[0], 1e-2 * together[0]);
}

TEST_F(KlTest, ScoresKeepItAndTheJudgeRanksByIt) {
  ScoreRequest wanted;
  for (const Signal& signal : signals()) wanted.signals.push_back(&signal);
  wanted.codecs = {&codec::by_name("int4_channel")};
  wanted.measure = {{&codec::by_name("int4_channel")}, 32, {}, {}};
  const ScoreResult result = score(engine_, set_, wanted);
  const Scores read = Scores::from_json(result.scores.to_json(), model_, "scores");
  EXPECT_EQ(values(read.choices.at("kl")), values(result.scores.choices.at("kl")));
  EXPECT_TRUE(result.seconds.contains("kl") && result.seconds.contains("lim"));

  Scores known = result.scores;
  auto& group_values = known.groups.at("alpha").values;
  for (std::size_t g = 0; g < group_values.size(); ++g) group_values[g] = known.choices.at("kl")[g][0].value;
  EXPECT_EQ(judged_codecs(known), std::vector<const codec::Codec*>{&codec::by_name("int4_channel")});
  EXPECT_EQ(&judged_codec(known), &codec::by_name("int4_channel"));
  bool seen = false;
  for (const Judgement& j : judge(known, model_.architecture(), codec::by_name("int4_channel"))) {
    EXPECT_LE(std::abs(j.spearman), 1.0 + 1e-12);
    if (j.signal != "alpha") continue;
    seen = true;
    EXPECT_DOUBLE_EQ(j.spearman, 1.0);
    EXPECT_DOUBLE_EQ(j.top_quarter, 1.0);
  }
  EXPECT_TRUE(seen);
  EXPECT_THROW(judge(known, model_.architecture(), codec::by_name("nvfp4")), Error);

  json damaged = result.scores.to_json();
  damaged["choices"]["kl"]["groups"][1]["int4_channel"]["value"] = -1;
  EXPECT_THROW(Scores::from_json(damaged, model_, "scores"), Error);
  damaged["choices"]["kl"]["groups"].erase(0);
  EXPECT_THROW(Scores::from_json(damaged, model_, "scores"), Error);
}

}  // namespace kl_test
}  // namespace strata::importance
