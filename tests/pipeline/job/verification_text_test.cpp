// A verification takes other pieces of text than the calibration while there are any, and says so when there are none.
// Words of the tokenizer used here are single tokens: w0 is 10, w1 is 11, ...
#include "pipeline/job/verification_text.h"

#include "core/file.h"
#include "support/tiny_model.h"

namespace strata::pipeline {
namespace verification_text_test {

using ::strata::fixtures::golden_model;
using ::strata::fixtures::TinyModel;
using ::strata::fixtures::words;

class VerificationTextTest : public ::testing::Test {
 protected:
  VerificationTextTest() : tiny_("llama_tied") {
    for (const auto& [name, text] : ::strata::fixtures::word_tokenizer_files(false))
      write_text_file(tiny_.path() / name, text);
    model_.emplace(model::Model::open(tiny_.path()));
    engine_.emplace(*model_);
    request_.calibration.samples = 4;
    request_.calibration.seq_len = 8;
  }
  std::filesystem::path text(const std::string& name, std::size_t count) const {
    write_text_file(tiny_.path() / name, words(count));
    return tiny_.path() / name;
  }
  void calibrate_on(std::vector<std::vector<std::filesystem::path>> sets) {
    request_.calibration.texts = std::move(sets);
  }
  VerificationText made(std::size_t count) { return verification_text(*engine_, request_, count); }

  TinyModel tiny_;
  std::optional<model::Model> model_;
  std::optional<engine::Engine> engine_;
  QuantizeRequest request_;
};

TEST_F(VerificationTextTest, FollowsThePiecesOfTheCalibration) {
  calibrate_on({{text("long.txt", 60)}});
  const VerificationText result = made(2);
  ASSERT_EQ(result.sequences.size(), 2u);
  EXPECT_EQ(result.sequences[0].front(), 10u + 4 * 8);
  EXPECT_EQ(result.text.source, "long.txt");
  EXPECT_FALSE(result.text.used_by_calibration);
}

TEST_F(VerificationTextTest, FewPiecesThatWereNotUsedAreBetterThanManyThatWere) {
  calibrate_on({{text("short.txt", 5 * 8)}});
  const VerificationText result = made(3);
  ASSERT_EQ(result.sequences.size(), 1u);
  EXPECT_EQ(result.sequences[0].front(), 10u + 4 * 8);
  EXPECT_FALSE(result.text.used_by_calibration);
}

TEST_F(VerificationTextTest, ATextThatIsUsedUpIsSaidToBe) {
  calibrate_on({{text("short.txt", 4 * 8)}});
  const VerificationText result = made(3);
  ASSERT_EQ(result.sequences.size(), 3u);
  EXPECT_EQ(result.sequences[0].front(), 10u + 8);
  EXPECT_TRUE(result.text.used_by_calibration);
}

TEST_F(VerificationTextTest, RoundingAndScoresCountAsUseToo) {
  calibrate_on({{text("long.txt", 69)}});
  request_.method = "gptq";
  request_.calibration.samples = 6;
  EXPECT_EQ(made(1).sequences[0].front(), 10u + 6 * 8);
  request_.scores_file = tiny_.path() / "scores.json";
  json source = {{"source", "files"},
                 {"files", {(tiny_.path() / "long.txt").string()}},
                 {"samples", 5},
                 {"seq_len", 11},
                 {"hash", "0123456789abcdef"}};
  write_json_file(request_.scores_file, {{"calibration", source}});
  EXPECT_EQ(made(1).sequences[0].front(), 10u + 7 * 8) << "55 tokens are part of 7 pieces";
  source["files"] = {"another.txt"};
  write_json_file(request_.scores_file, {{"calibration", source}});
  EXPECT_EQ(made(1).sequences[0].front(), 10u + 6 * 8);
}

TEST_F(VerificationTextTest, EveryTextThatCountsSeparatelyHasItsShare) {
  calibrate_on({{text("a.txt", 60)}, {text("b.txt", 60)}});
  const VerificationText result = made(4);
  ASSERT_EQ(result.sequences.size(), 4u);
  for (const std::size_t first : {0u, 2u}) EXPECT_EQ(result.sequences[first].front(), 10u + 4 * 8);
  EXPECT_EQ(result.text.source, "a.txt, b.txt");
  EXPECT_FALSE(result.text.used_by_calibration);
}

TEST_F(VerificationTextTest, WithoutFilesTheModelWritesAnotherText) {
  const VerificationText result = made(2);
  EXPECT_EQ(result.sequences.size(), 2u);
  EXPECT_EQ(result.text.source, "");
  engine::Engine writer(*model_, kernel::Precision::bf16);
  const auto tokenizer = model::Tokenizer::from_files(model::tokenizer_files(*model_), "model");
  EXPECT_NE(result.sequences[0], make_calibration(writer, tokenizer, request_.calibration).sequences[0]);
}

}  // namespace verification_text_test
}  // namespace strata::pipeline
