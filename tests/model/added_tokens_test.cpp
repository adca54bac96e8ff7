// Tokens that only files beside tokenizer.json declare get the ids, and are found in text, as by transformers 5.23:
// expected ids are those of AutoTokenizer.from_pretrained on a folder with these files.
#include "model/added_tokens.h"

#include <gtest/gtest.h>

#include "format/gguf.h"
#include "format/gguf_write.h"
#include "model/gguf/export.h"
#include "support/error_of.h"
#include "support/temporary_folder.h"

namespace strata::model {
namespace added_tokens_test {

using Ids = std::vector<std::uint32_t>;

/// Characters as tokens; "<x>" is one of the vocabulary that tokenizer.json does not list as added, "<y>" is listed.
NamedTexts files(const char* config, const char* map = nullptr, const char* added = nullptr) {
  NamedTexts result = {{"tokenizer.json", R"({"version": "1.0", "added_tokens": [{"id": 5, "content": "<y>",
    "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": false}],
    "normalizer": {"type": "Lowercase"}, "pre_tokenizer": null, "post_processor": null, "decoder": null,
    "model": {"type": "BPE", "vocab": {"<x>": 0, "a": 1, "<": 2, ">": 3, "x": 4, "<y>": 5}, "merges": []}})"},
                       {"tokenizer_config.json", config}};
  if (map != nullptr) result.emplace_back("special_tokens_map.json", map);
  if (added != nullptr) result.emplace_back("added_tokens.json", added);
  return result;
}

std::string described(const NamedTexts& files) {
  std::string text;
  for (const AddedToken& token : Tokenizer::from_files(files, "m").added_tokens())
    text += fmt::format("{} {} {}; ", token.id, token.content, token.special ? "special" : "plain");
  return text;
}

Ids ids(const NamedTexts& files, std::string_view text) { return Tokenizer::from_files(files, "m").encode(text); }

TEST(AddedTokens, OfEveryFileAreFoundInText) {
  const NamedTexts declared[] = {
      files(R"({"added_tokens_decoder": {"6": {"content": "<new>", "special": true},
                                         "0": {"content": "<x>", "special": true}}})"),
      files(R"({"extra_special_tokens": ["<x>", "<new>"]})"),
      files(R"({"additional_special_tokens": ["<x>", {"content": "<new>", "lstrip": false}]})"),
      files(R"({"extra_special_tokens": {"start": "<x>", "tool": "<new>"}})"),
      files(R"({"image_token": "<x>", "video_token": {"content": "<new>"}})"),
      files("{}", R"({"additional_special_tokens": ["<x>", "<new>"]})"),
      files("{}", R"({"additional_special_tokens": ["<x>", "<new>"]})", R"({"<new>": 6, "<x>": 0})")};
  for (const NamedTexts& some : declared) {
    EXPECT_EQ(described(some), "0 <x> special; 5 <y> plain; 6 <new> special; ") << some[1].second;
    EXPECT_EQ(ids(some, "a<x>a<new><y>"), (Ids{1, 0, 1, 6, 5})) << some[1].second;
  }
  EXPECT_EQ(ids(files("{}"), "a<x>a"), (Ids{1, 2, 4, 3, 1}));
}

TEST(AddedTokens, OfAddedTokensJsonAreNormalizedUnlessNamedSpecial) {
  const NamedTexts plain = files(R"({"eos_token": "<E>"})", nullptr, R"({"<N>": 6, "<E>": 7})");
  EXPECT_EQ(described(plain), "5 <y> plain; 6 <N> plain; 7 <E> special; ");
  EXPECT_EQ(ids(plain, "<n><N><E>"), (Ids{6, 6, 7}));
  EXPECT_EQ(Tokenizer::from_files(plain, "m").eos(), (Ids{7}));
}

TEST(AddedTokens, TheDecoderReplacesFlagsAndNamesMakeSpecial) {
  EXPECT_EQ(described(files(R"({"added_tokens_decoder": {"5": {"content": "<y>", "special": true}}})")),
            "5 <y> special; ");
  EXPECT_EQ(described(files(R"({"pad_token": "<y>"})", nullptr, R"({"<y>": 5})")), "5 <y> special; ");
  EXPECT_EQ(described(files(R"({"image_token": "<y>"})")), "5 <y> special; ");
  EXPECT_EQ(described(files("{}", nullptr, R"({"<y>": 5})")), "5 <y> plain; ");
  // "<N>" is normalized, and stays so when it is named: it is found where the text has "<n>".
  EXPECT_EQ(ids(files(R"({"eos_token": "<N>", "added_tokens_decoder": {"6": {"content": "<N>"}}})"), "<n>"), (Ids{6}));
}

TEST(AddedTokens, NewOnesGetTheNextIdsInTheirOrder) {
  EXPECT_EQ(described(files(R"({"pad_token": "[PAD]", "extra_special_tokens": ["<1>", "<2>"], "mask_token": "<m>"})")),
            "5 <y> plain; 6 [PAD] special; 7 <m> special; 8 <1> special; 9 <2> special; ");
  EXPECT_EQ(described(files(R"({"added_tokens_decoder": {"40": {"content": "<b>"}, "9": {"content": "<a>"}}})")),
            "5 <y> plain; 6 <a> plain; 7 <b> plain; ");
}

TEST(AddedTokens, ANameThatIsNewToTheVocabularyEndsNoText) {
  NamedTexts some = files(R"({"bos_token": "<none>", "eos_token": "<none>"})");
  some.emplace_back("config.json", R"({"bos_token_id": 1, "eos_token_id": 4})");
  const Tokenizer tokenizer = Tokenizer::from_files(some, "m");
  EXPECT_EQ(tokenizer.bos(), 1u);
  EXPECT_EQ(tokenizer.eos(), (Ids{4}));
}

TEST(AddedTokens, ListsOfAnotherFormAreRefusedByName) {
  const auto refusal = [](const NamedTexts& some) { return error_of([&] { Tokenizer::from_files(some, "m"); }); };
  EXPECT_EQ(
      refusal(files(R"({"added_tokens_decoder": {"7": "<x>"}})")),
      "m: tokenizer_config.json: added_tokens_decoder: '7' is \"<x>\", expected an object with the text 'content'");
  EXPECT_EQ(refusal(files(R"({"added_tokens_decoder": {"seven": {"content": "<x>"}}})")),
            "m: tokenizer_config.json: added_tokens_decoder: 'seven' has the id \"seven\", expected a number from 0 to "
            "4294967295");
  EXPECT_EQ(refusal(files("{}", nullptr, R"({"<x>": -1})")),
            "m: added_tokens.json: '<x>' has the id -1, expected a number from 0 to 4294967295");
  // Other keys may hold anything, as long as nobody uses it.
  EXPECT_EQ(described(files(R"({"extra_special_tokens": 7, "image_token": [1], "pad_token": {"id": 3}})")),
            "5 <y> plain; ");
}

TEST(AddedTokens, AreInTheVocabularyOfAGgufFileButThoseWithoutARow) {
  NamedTexts some = files(R"({"added_tokens_decoder": {"0": {"content": "<x>", "special": true},
      "6": {"content": "<new>", "special": false}, "7": {"content": "[PAD]", "special": true}}, "pad_token": "[PAD]"})");
  // What llama.cpp has a name for: no normalizer, and words cut as GPT-2 cuts them.
  const auto put = [&](std::string_view from, const char* to) {
    some[0].second.replace(some[0].second.find(from), from.size(), to);
  };
  put(R"({"type": "Lowercase"})", "null");
  put(R"("pre_tokenizer": null)",
      R"("pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
      "use_regex": true})");
  const ::strata::TemporaryFolder folder;
  const auto written = [&](std::size_t rows) {
    format::GgufKeys keys;
    add_vocabulary(keys, some, rows, "m");
    const format::GgufLayout layout = format::lay_out_gguf(keys, {});
    format::GgufWriter(folder.path() / "m.gguf", layout).commit();
    return format::GgufFile::open(folder.path() / "m.gguf");
  };
  const format::GgufFile all = written(8), fewer = written(7);
  EXPECT_EQ(all.texts("tokenizer.ggml.tokens"),
            (std::vector<std::string>{"<x>", "a", "<", ">", "x", "<y>", "<new>", "[PAD]"}));
  EXPECT_EQ(all.integers("tokenizer.ggml.token_type"), (std::vector<std::int64_t>{3, 1, 1, 1, 1, 4, 4, 3}));
  EXPECT_EQ(all.integer("tokenizer.ggml.padding_token_id"), 7);
  EXPECT_EQ(fewer.texts("tokenizer.ggml.tokens"),
            (std::vector<std::string>{"<x>", "a", "<", ">", "x", "<y>", "<new>"}));
  EXPECT_FALSE(fewer.has("tokenizer.ggml.padding_token_id"));
}

}  // namespace added_tokens_test
}  // namespace strata::model
