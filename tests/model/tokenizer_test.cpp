// Compares the tokenizer with the Python library's ids, and tests special tokens, streaming, and damaged input.
// Goldens: tests/golden/make_tokenizer_goldens.py.
#include "model/tokenizer.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/error_of.h"
#include "support/golden_ids.h"

namespace strata::model {
namespace tokenizer_test {

using Ids = std::vector<std::uint32_t>;

constexpr const char* kWords = R"({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [
  {"id": 3, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
  "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
  "model": {"type": "WordLevel", "vocab": {"[unk]": 0, "one": 1, "two": 2, "<s>": 3, "</s>": 4}, "unk_token": "[unk]"}})";

NamedTexts words(const std::string& tokenizer_config, const std::string& config = "{}",
                 const std::string& generation_config = "{}") {
  return {{"tokenizer.json", kWords},
          {"tokenizer_config.json", tokenizer_config},
          {"config.json", config},
          {"generation_config.json", generation_config}};
}

void expect_python_ids(const char* name, const char* folder) {
  const std::filesystem::path path = std::filesystem::path(STRATA_TEST_MODELS) / folder;
  if (!std::filesystem::exists(path / "tokenizer.json")) GTEST_SKIP() << path << " is not there";
  const Tokenizer tokenizer = Tokenizer::from_directory(path);
  expect_golden_samples(tokenizer, golden_ids(name));
  if (expect_golden_files(tokenizer, golden_ids(name), UINTMAX_MAX) == 0)
    GTEST_SKIP() << "no texts in " << STRATA_SHARED;
}

TEST(Tokenizer, SmolLm2IdsEqualThePythonLibrary) { expect_python_ids("smollm2", "smollm2"); }
TEST(Tokenizer, Qwen2IdsEqualThePythonLibrary) { expect_python_ids("qwen2", "qwen2_tokenizer"); }

TEST(Tokenizer, TokensAndIdsAreFoundBothWays) {
  const Tokenizer tokenizer = Tokenizer::from_json(kWords, "words");
  EXPECT_EQ(tokenizer.vocab_size(), 5u);
  EXPECT_EQ(tokenizer.token_to_id("two"), 2u);
  EXPECT_EQ(tokenizer.token_to_id("three"), std::nullopt);
  EXPECT_EQ(tokenizer.id_to_token(1), "one");
  EXPECT_EQ(tokenizer.id_to_token(99), std::nullopt);
  EXPECT_EQ(tokenizer.decode(Ids{1, 99, 2}), "one two");
  EXPECT_EQ(tokenizer.decode(Ids{3, 1}), "one");
  EXPECT_EQ(tokenizer.decode(Ids{3, 1}, SkipSpecial::no), "<s> one");
}

TEST(Tokenizer, EmptyTextHasNoIds) {
  const Tokenizer tokenizer = Tokenizer::from_json(kWords, "words");
  EXPECT_EQ(tokenizer.encode(""), Ids{});
  EXPECT_EQ(tokenizer.encode("", AddSpecial::yes), Ids{});
  EXPECT_EQ(tokenizer.decode({}), "");
}

TEST(Tokenizer, AnExplicitAddBosTokenPutsItInFront) {
  const Tokenizer tokenizer = Tokenizer::from_files(
      words(R"({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "add_bos_token": true})"), "words");
  EXPECT_TRUE(tokenizer.add_bos());
  EXPECT_EQ(tokenizer.bos(), 3u);
  EXPECT_EQ(tokenizer.encode("one", AddSpecial::yes), (Ids{3, 1}));
  EXPECT_EQ(tokenizer.encode("one"), (Ids{1}));
  const Tokenizer both = Tokenizer::from_files(
      words(R"({"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": true, "add_eos_token": true})"), "words");
  EXPECT_EQ(both.encode("one", AddSpecial::yes), (Ids{3, 1, 4}));
}

TEST(Tokenizer, ThePostProcessorDecidesWhenNothingIsExplicit) {
  std::string text = kWords;
  const std::string none = R"("post_processor": null)";
  text.replace(text.find(none), none.size(), R"("post_processor": {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [3], "tokens": ["<s>"]}}})");
  NamedTexts files = words(R"({"bos_token": "<s>"})");
  files[0].second = text;
  const Tokenizer tokenizer = Tokenizer::from_files(files, "words");
  EXPECT_TRUE(tokenizer.add_bos());
  EXPECT_EQ(tokenizer.encode("two", AddSpecial::yes), (Ids{3, 2}));
  files[1].second = R"({"bos_token": "<s>", "add_bos_token": false})";
  EXPECT_FALSE(Tokenizer::from_files(files, "words").add_bos());
  EXPECT_EQ(Tokenizer::from_files(files, "words").encode("two", AddSpecial::yes), (Ids{2}));
}

TEST(Tokenizer, EndTokensAreTheUnionOfAllFiles) {
  const Tokenizer tokenizer = Tokenizer::from_files(
      words(R"({"eos_token": "</s>"})", R"({"eos_token_id": 7, "bos_token_id": 1})", R"({"eos_token_id": [4, 2, 9]})"),
      "w");
  EXPECT_EQ(tokenizer.eos(), (Ids{4, 2, 9, 7}));
  EXPECT_EQ(tokenizer.bos(), 1u);
  const Tokenizer nested = Tokenizer::from_files(words("{}", R"({"text_config": {"eos_token_id": 2}})"), "w");
  EXPECT_EQ(nested.eos(), (Ids{2}));
  EXPECT_EQ(nested.bos(), std::nullopt);
}

TEST(Tokenizer, IdsThatStandForNoneAreNone) {
  const Tokenizer tokenizer = Tokenizer::from_files(
      words("{}", R"({"bos_token_id": 4294967295, "eos_token_id": -1, "pad_token_id": -1, "vocab_size": 5})",
            R"({"eos_token_id": [4294967295, 4, 2.5, null], "pad_token_id": 99999999999})"),
      "w");
  EXPECT_EQ(tokenizer.bos(), std::nullopt);
  EXPECT_EQ(tokenizer.eos(), (Ids{4}));
  const Tokenizer beyond = Tokenizer::from_files(words("{}", R"({"bos_token_id": 5, "vocab_size": 5})"), "w");
  EXPECT_EQ(beyond.bos(), std::nullopt);
}

TEST(Tokenizer, ANamedTokenIsFoundInTextThoughOnlyTheConfigSaysItIsSpecial) {
  EXPECT_EQ(Tokenizer::from_json(kWords, "w").encode("one</s>two"), (Ids{1, 0, 0, 0, 2}));
  EXPECT_EQ(Tokenizer::from_files(words(R"({"eos_token": "</s>"})"), "w").encode("one</s>two"), (Ids{1, 4, 2}));
}

TEST(Tokenizer, SpecialTokensComeFromTheMapWhenTheConfigHasNone) {
  NamedTexts files = words(R"({"eos_token": "</s>"})");
  files.emplace_back("special_tokens_map.json", R"({"eos_token": "two", "pad_token": {"content": "one"}})");
  EXPECT_EQ(special_tokens(files, "w"), json::parse(R"({"eos_token": "</s>", "pad_token": "one"})"));
}

TEST(Tokenizer, DamagedFilesAreRefusedWithASentence) {
  const std::string whole = kWords;
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_THROW(Tokenizer::from_json(whole.substr(0, size), "words"), Error) << size;
  for (const char* garbage : {"", "[]", "{}", "\xFF\xFE\x00", R"({"model": {"type": "Nothing"}})"})
    EXPECT_PRED_FORMAT2(testing::IsSubstring, "dir: not a tokenizer.json",
                        error_of([&] { Tokenizer::from_json(garbage, "dir"); }));
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "dir: has no tokenizer.json",
                      error_of([] { Tokenizer::from_files({}, "dir"); }));
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "dir: tokenizer_config.json: not valid JSON",
                      error_of([] { Tokenizer::from_files(words("{"), "dir"); }));
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "not a JSON object",
                      error_of([] { Tokenizer::from_files(words("[1]"), "dir"); }));
}

TEST(Tokenizer, FlippedBytesNeverCrash) {
  const std::string whole = kWords;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x15);
    try {
      Tokenizer::from_json(damaged, "words").encode("one two <s> three", AddSpecial::yes);
    } catch (const Error&) {
    }
  }
}

TEST(Tokenizer, InvalidUtf8IsRefusedWithItsPlace) {
  const Tokenizer tokenizer = Tokenizer::from_json(kWords, "words");
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "not valid UTF-8 at byte 4",
                      error_of([&] { tokenizer.encode("one \xC3("); }));
}

TEST(StreamDecoder, GivesCompleteCharactersThatJoinToTheWholeText) {
  const std::filesystem::path path = std::filesystem::path(STRATA_TEST_MODELS) / "smollm2";
  if (!std::filesystem::exists(path / "tokenizer.json")) GTEST_SKIP() << path << " is not there";
  const Tokenizer tokenizer = Tokenizer::from_directory(path);
  const json golden = golden_ids("smollm2");
  for (const json& sample : golden["samples"]) {
    const auto ids = sample["ids"].get<Ids>();
    StreamDecoder stream(tokenizer);
    std::string text;
    for (const std::uint32_t id : ids) {
      const std::string piece = stream.push(id);
      EXPECT_NO_THROW(json(piece).dump()) << "not whole characters in " << sample["text"];
      text += piece;
    }
    EXPECT_EQ(text + stream.finish(), sample["decoded"].get<std::string>());
  }
  // U+1F600 takes several tokens: nothing is given out before the last of them.
  const Ids face = tokenizer.encode("\xF0\x9F\x98\x80");
  ASSERT_GE(face.size(), 2u);
  StreamDecoder stream(tokenizer);
  for (std::size_t i = 0; i + 1 < face.size(); ++i) EXPECT_EQ(stream.push(face[i]), "");
  EXPECT_EQ(stream.push(face.back()), "\xF0\x9F\x98\x80");
  EXPECT_EQ(stream.finish(), "");
  stream.push(face[0]);
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
}

TEST(StreamDecoder, LongStreamsOfTextWithoutEndKeepUp) {
  const Tokenizer tokenizer = Tokenizer::from_files(words(R"({"bos_token": "<s>"})"), "words");
  StreamDecoder stream(tokenizer);
  std::string text;
  for (int i = 0; i < 1000; ++i) text += stream.push(i % 50 == 0 ? 1 : 3);
  text += stream.finish();
  EXPECT_EQ(std::count(text.begin(), text.end(), 'o'), 20);
}

}  // namespace tokenizer_test
}  // namespace strata::model
