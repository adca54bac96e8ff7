// Texts are cut into sequences, and what is no text is refused.
// Words of the tokenizer used here are single tokens: w0 is 10, w1 is 11, ...
#include "eval/text.h"

#include "model/text.h"
#include "support/tiny_model.h"

namespace strata::eval {
namespace text_test {

using ::strata::fixtures::error_of;
using ::strata::fixtures::TemporaryFolder;
using ::strata::fixtures::word_tokenizer;
using ::strata::fixtures::word_tokenizer_files;
using ::strata::fixtures::words;
using Tokens = std::vector<engine::Token>;

class EvalTextTest : public ::testing::Test {
 protected:
  std::filesystem::path file(std::string_view content) const {
    write_text_file(folder_.path() / "text.txt", content);
    return folder_.path() / "text.txt";
  }
  std::string refusal(std::string_view content) const {
    const auto tokenizer = word_tokenizer(false);
    const auto path = file(content);
    return error_of([&] { read_eval_text(tokenizer, path, 8); });
  }
  TemporaryFolder folder_;
};

TEST_F(EvalTextTest, SequencesFollowEachOtherAndTheRestIsLeftOut) {
  const EvalText text = read_eval_text(word_tokenizer(false), file(words(11)), 4);
  EXPECT_EQ(text.text_tokens, 11u);
  EXPECT_EQ(text.sequences, (std::vector<Tokens>{{10, 11, 12, 13}, {14, 15, 16, 17}}));
}

TEST_F(EvalTextTest, BosStandsInTheFirstPlaceOfEverySequence) {
  // BOS comes before the text, which moves it by one; the sequences after the first lose a token to their BOS.
  const EvalText text = read_eval_text(word_tokenizer(true), file(words(11)), 4);
  EXPECT_EQ(text.sequences, (std::vector<Tokens>{{1, 10, 11, 12}, {1, 14, 15, 16}, {1, 18, 19, 20}}));
}

TEST_F(EvalTextTest, ALimitGivesTheSameFirstSequencesOfALargeFile) {
  const auto path = file(words(40000));
  const EvalText all = read_eval_text(word_tokenizer(false), path, 64);
  const EvalText some = read_eval_text(word_tokenizer(false), path, 64, 3);
  ASSERT_EQ(all.sequences.size(), 625u);
  ASSERT_EQ(some.sequences.size(), 3u);
  EXPECT_LT(some.text_tokens, all.text_tokens);
  EXPECT_TRUE(std::equal(some.sequences.begin(), some.sequences.end(), all.sequences.begin()));
  EXPECT_NE(some.hash, all.hash);
  EXPECT_EQ(some.hash, read_eval_text(word_tokenizer(false), path, 64, 3).hash);
}

TEST_F(EvalTextTest, ATextTooShortSaysHowManyTokensItHas) {
  const std::string message = refusal(words(7));
  EXPECT_NE(message.find("has 7 tokens, fewer than the 8"), std::string::npos) << message;
  EXPECT_NE(message.find("--seq-len"), std::string::npos) << message;
  EXPECT_NE(message.find("text.txt"), std::string::npos) << message;
}

TEST_F(EvalTextTest, WhatIsNoTextIsRefusedWithItsPlace) {
  EXPECT_NE(refusal("").find("is empty"), std::string::npos);
  EXPECT_NE(refusal(std::string_view("abc\0def", 7)).find("NUL byte at 3"), std::string::npos);
  EXPECT_NE(refusal("ab\xFF").find("byte 2 is not UTF-8"), std::string::npos);
  EXPECT_NE(refusal("PAR1\x15\x04").find("is a Parquet file; give the texts in it"), std::string::npos);
  EXPECT_NE(refusal("\x1F\x8B\x08").find("is compressed (gzip)"), std::string::npos);
  EXPECT_NE(error_of([&] { read_eval_text(word_tokenizer(false), folder_.path() / "none.txt", 8); }).find("none.txt"),
            std::string::npos);
}

TEST_F(EvalTextTest, Utf8IsCheckedByTheUnicodeTable) {
  for (const std::string_view good : {"\x7F", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
                                      "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"})
    EXPECT_NO_THROW(model::check_text(good, "text")) << good;
  // Overlong, lone continuation, surrogate, beyond U+10FFFF, cut off.
  for (const std::string_view bad : {"\xC0\x80", "\xC1\xBF", "\x80", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                                     "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xC2", "\xE2\x82", "\xC2\x41"})
    EXPECT_THROW(model::check_text(bad, "text"), Error) << bad;
  EXPECT_NO_THROW(model::check_text("a\xE2\x82", "text", false));
  EXPECT_THROW(model::check_text("a\xE2\x28", "text", false), Error);
}

TEST_F(EvalTextTest, ASequenceWithoutScoredPositionsIsAUsageError) {
  EXPECT_THROW(read_eval_text(word_tokenizer(false), file(words(20)), 3), UsageError);
  EXPECT_NO_THROW(read_eval_text(word_tokenizer(false), file(words(20)), 4));
}

TEST_F(EvalTextTest, TokensThatAreOtherWordsElsewhereAreRefused) {
  const EvalText text = read_eval_text(word_tokenizer(false), file(words(20)), 4);
  EXPECT_NO_THROW(check_same_words(text, word_tokenizer(false), word_tokenizer(true))) << "only BOS differs";
  model::NamedTexts files = word_tokenizer_files(false);
  std::string& tokenizer = files[0].second;
  const std::size_t at = tokenizer.find("\"w3\"");
  ASSERT_NE(at, std::string::npos);
  tokenizer.replace(at, 4, "\"x3\"");
  const auto changed = model::Tokenizer::from_files(files, "elsewhere");
  const std::string message = error_of([&] { check_same_words(text, word_tokenizer(false), changed); });
  EXPECT_NE(message.find("elsewhere read the same tokens as different words"), std::string::npos) << message;
}

}  // namespace text_test
}  // namespace strata::eval
