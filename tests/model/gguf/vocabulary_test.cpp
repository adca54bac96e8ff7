// A tokenizer.json becomes the tokenizer keys of a GGUF file that gives the same ids when it is read, or is refused
// with the part that no key can say.
#include <gtest/gtest.h>

#include "format/gguf.h"
#include "model/gguf/export.h"
#include "model/gguf/pre_tokenizers.h"
#include "model/model.h"
#include "model/sources.h"
#include "support/error_of.h"
#include "support/temporary_folder.h"

namespace strata::model {
namespace vocabulary_test {

using Ids = std::vector<std::uint32_t>;
constexpr std::size_t kSize = 48;  // of the vocabulary that the model has

json added(int id, const char* text, bool special) {
  return {{"id", id},        {"content", text},     {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", special}};
}

json split(const std::string& expression) {
  return {{"type", "Split"}, {"pattern", {{"Regex", expression}}}, {"behavior", "Isolated"}, {"invert", false}};
}

/// Letters a to z, then "ab", "abc", a control and an ordinary added token; cut as SmolLM's.
json byte_level() {
  json vocabulary;
  for (char c = 'a'; c <= 'z'; ++c) vocabulary[std::string(1, c)] = c - 'a';
  vocabulary["ab"] = 26;
  vocabulary["abc"] = 27;
  json pre =
      json::array({{{"type", "Digits"}, {"individual_digits", true}},
                   {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}}});
  return {{"version", "1.0"},
          {"added_tokens", {added(28, "<s>", true), added(29, "[NOTE]", false)}},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", pre}}},
          {"decoder", {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}}},
          {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", {"a b", "ab c"}}}}};
}

/// Gemma's kind: spaces become U+2581, none is put in front, runs of spaces are added tokens.
json sentencepiece() {
  const std::string space = "\xE2\x96\x81";
  json vocabulary = {{"<pad>", 0}, {"<eos>", 1}, {"<bos>", 2}, {"<unk>", 3},     {"<0x41>", 4},      {"a", 5},
                     {"b", 6},     {space, 7},   {"ab", 8},    {space + "a", 9}, {space + space, 10}};
  json normalizer = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", space}};
  json pre = {{"type", "Split"}, {"pattern", {{"String", " "}}}, {"behavior", "MergedWithPrevious"}, {"invert", false}};
  return {{"version", "1.0"},
          {"added_tokens",
           {added(0, "<pad>", true), added(1, "<eos>", true), added(2, "<bos>", true), added(3, "<unk>", true),
            added(10, (space + space).c_str(), false)}},
          {"normalizer", normalizer},
          {"pre_tokenizer", pre},
          {"model",
           {{"type", "BPE"},
            {"byte_fallback", true},
            {"fuse_unk", true},
            {"unk_token", "<unk>"},
            {"vocab", vocabulary},
            {"merges", {space + " " + space, "a b", space + " a"}}}}};
}

/// A GGUF file of nothing but a vocabulary.
class Written {
 public:
  explicit Written(const json& tokenizer, json config = json::object(), const NamedTexts& more = {}) {
    files_ = {{"tokenizer.json", tokenizer.dump()}, {"tokenizer_config.json", config.dump()}};
    files_.insert(files_.end(), more.begin(), more.end());
    format::GgufKeys keys;
    add_vocabulary(keys, files_, kSize, "model");
    const format::GgufLayout layout = format::lay_out_gguf(std::move(keys), {{"t", 0, {1}}});
    format::GgufWriter writer(path(), layout);
    const float zero = 0.0f;
    writer.write(std::as_bytes(std::span(&zero, 1)));
    writer.commit();
  }

  format::GgufFile file() const { return format::GgufFile::open(path()); }
  NamedTexts files() const { return gguf_companion_files(path()); }
  Tokenizer before() const { return Tokenizer::from_files(files_, "before"); }
  Tokenizer after() const { return Tokenizer::from_files(files(), "after"); }

 private:
  std::filesystem::path path() const { return folder_ / "m.gguf"; }
  TemporaryFolder folder_;
  NamedTexts files_;
};

std::string refusal(const json& tokenizer, const json& config = json::object()) {
  return error_of([&] { Written(tokenizer, config); });
}

TEST(GgufVocabularyKeys, AddedTokensAreControlOrUserDefined) {
  const Written w(byte_level());
  const auto types = w.file().integers("tokenizer.ggml.token_type");
  EXPECT_EQ(types[0], 1);
  EXPECT_EQ(types[28], 3);
  EXPECT_EQ(types[29], 4);
  EXPECT_EQ(types[30], 5) << "the model has a row for it, the tokenizer no token";
  EXPECT_EQ(w.after().encode("abc<s>[NOTE]"), (Ids{27, 28, 29}));
  EXPECT_EQ(w.after().decode(Ids{28, 29}), "[NOTE]");
}

TEST(GgufVocabularyKeys, TokensThatOnlyTheConfigurationHasAreWritten) {
  const json config = {{"added_tokens_decoder",
                        {{"30", {{"content", "<end>"}, {"special", true}}},
                         {"31", {{"content", "[X]"}, {"special", false}}},
                         {"5", {{"content", "never"}, {"special", true}}},
                         {"99", {{"content", "<beyond>"}, {"special", true}}}}}};
  const format::GgufFile file = Written(byte_level(), config).file();
  // The ids are given anew in the order of the old ones, behind the tokens of tokenizer.json, as transformers does.
  EXPECT_EQ(file.texts("tokenizer.ggml.tokens")[30], "never");
  EXPECT_EQ(file.texts("tokenizer.ggml.tokens")[31], "<end>");
  EXPECT_EQ(file.integers("tokenizer.ggml.token_type")[31], 3);
  EXPECT_EQ(file.texts("tokenizer.ggml.tokens")[32], "[X]");
  EXPECT_EQ(file.integers("tokenizer.ggml.token_type")[32], 4);
  EXPECT_EQ(file.texts("tokenizer.ggml.tokens")[5], "f");
}

TEST(GgufVocabularyKeys, ANormalizerThatLlamaCppLacksIsRefusedByName) {
  for (const char* type : {"Lowercase", "NFKC", "StripAccents"}) {
    json tokenizer = byte_level();
    tokenizer["normalizer"] = {{"type", type}};
    EXPECT_PRED_FORMAT2(testing::IsSubstring, fmt::format("normalizer of tokenizer.json has the step {}", type),
                        refusal(tokenizer));
    tokenizer = sentencepiece();
    tokenizer["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", type}}, tokenizer["normalizer"]}}};
    EXPECT_PRED_FORMAT2(testing::IsSubstring, fmt::format("the step {}", type), refusal(tokenizer));
  }
  json other = sentencepiece();
  other["normalizer"]["content"] = "_";
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "the step Replace", refusal(other));
  other = sentencepiece();
  other["pre_tokenizer"] = {{"type", "Digits"}, {"individual_digits", true}};
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "pre_tokenizer of tokenizer.json has the step Digits", refusal(other));
  other = byte_level();
  other["normalizer"] = {{"type", "Sequence"}, {"normalizers", json::array()}};
  EXPECT_EQ(refusal(other), "") << "no step at all";
}

TEST(GgufVocabularyKeys, ComposingCharactersIsPartOfWhatTheNameOfThePreTokenizerSays) {
  json tokenizer = byte_level();
  EXPECT_EQ(Written(tokenizer).file().text("tokenizer.ggml.pre"), "smollm");
  tokenizer["normalizer"] = {{"type", "NFC"}};
  const Written w(tokenizer);
  EXPECT_EQ(w.file().text("tokenizer.ggml.pre"), "command-r");
  EXPECT_EQ(json::parse(*find_text(w.files(), "tokenizer.json"))["normalizer"], tokenizer["normalizer"]);
  tokenizer["pre_tokenizer"] = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  EXPECT_EQ(Written(tokenizer).file().text("tokenizer.ggml.pre"), "olmo");
}

TEST(GgufVocabularyKeys, GemmasKindGivesTheSameIds) {
  const Written w(sentencepiece(), {{"bos_token", "<bos>"}, {"eos_token", "<eos>"}, {"add_bos_token", true}});
  const format::GgufFile file = w.file();
  EXPECT_EQ(file.text("tokenizer.ggml.model"), "llama");
  EXPECT_FALSE(file.boolean("tokenizer.ggml.add_space_prefix"));
  EXPECT_TRUE(file.boolean("tokenizer.ggml.add_bos_token"));
  EXPECT_EQ(file.integers("tokenizer.ggml.token_type"),
            (std::vector<std::int64_t>{3, 3, 3, 2, 6, 1, 1, 1, 1, 1, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5,
                                       5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5}));
  // An added token that merges make has their place, or it would be merged before all others.
  const auto scores = file.reals("tokenizer.ggml.scores");
  EXPECT_EQ(scores[10], 0);
  EXPECT_EQ(scores[8], -1);
  EXPECT_EQ(scores[9], -2);
  for (const char* text : {"ab", " ab", "a  ab", "  a b  ", "aAb", "a<eos>b"})
    EXPECT_EQ(w.after().encode(text), w.before().encode(text)) << text;
}

TEST(GgufVocabularyKeys, NamedChatTemplatesGoThereAndBack) {
  const json list = {{{"name", "default"}, {"template", "plain"}}, {{"name", "tool_use"}, {"template", "tools"}}};
  const Written w(byte_level(), {{"chat_template", list}});
  EXPECT_EQ(w.file().text("tokenizer.chat_template"), "plain");
  EXPECT_EQ(w.file().texts("tokenizer.chat_templates"), std::vector<std::string>{"tool_use"});
  EXPECT_EQ(w.file().text("tokenizer.chat_template.tool_use"), "tools");
  EXPECT_EQ(json::parse(*find_text(w.files(), "tokenizer_config.json"))["chat_template"], list);

  const Written files(byte_level(), json::object(),
                      {{"chat_template.jinja", "plain"}, {"additional_chat_templates/rag.jinja", "with documents"}});
  EXPECT_EQ(files.file().text("tokenizer.chat_template.rag"), "with documents");

  const Written both(byte_level(), {{"chat_template", list}}, {{"additional_chat_templates/rag.jinja", "documents"}});
  EXPECT_EQ(both.file().text("tokenizer.chat_template"), "plain") << "of the list, as no file is the default";
  EXPECT_EQ(both.file().texts("tokenizer.chat_templates"), std::vector<std::string>{"rag"}) << "files replace the list";

  const Written one(byte_level(), {{"chat_template", "plain"}});
  EXPECT_FALSE(one.file().has("tokenizer.chat_templates"));
  EXPECT_EQ(json::parse(*find_text(one.files(), "tokenizer_config.json"))["chat_template"], "plain");

  json bad = list;
  bad[1]["name"] = "a b";
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "the chat template 'a b'", refusal(byte_level(), {{"chat_template", bad}}));
}

TEST(GgufVocabularyKeys, TheWayOfCuttingIsKnownInAnySpelling) {
  const auto named = [](const std::vector<std::string>& expressions) {
    json tokenizer = byte_level();
    json steps = json::array();
    for (const std::string& expression : expressions) steps.push_back(split(expression));
    steps.push_back({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}});
    tokenizer["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", steps}};
    return Written(tokenizer).file().text("tokenizer.ggml.pre");
  };
  // Seed's tokenizer.json has line ends as they are, and a count of one.
  EXPECT_EQ(named({"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\r\n]+"
                   "|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"}),
            "seed-coder");
  // DeepSeek's has characters as they are.
  EXPECT_EQ(named({"\\p{N}{1,3}", "[\xE4\xB8\x80-\xE9\xBE\xA5\xE3\x81\x80-\xE3\x82\x9F\xE3\x82\xA0-\xE3\x83\xBF]+",
                   "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
                   "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"}),
            "deepseek-v3");
  // Bailing's is Qwen's with possessive quantifiers and the short form of the endings.
  EXPECT_EQ(
      named(
          {R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)"}),
      "deepseek-r1-qwen");
}

TEST(GgufVocabularyKeys, IgnoringMergesMattersOnlyWhereTheyDoNotMakeAllTokens) {
  json tokenizer = byte_level();
  tokenizer["model"]["ignore_merges"] = true;
  EXPECT_EQ(Written(tokenizer).file().text("tokenizer.ggml.pre"), "smollm");
  tokenizer["model"]["merges"] = {"a b"};  // "abc" is a token that merges do not make
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "has no name for the way", refusal(tokenizer));
}

TEST(PreTokenizers, EveryNameIsThereOnce) {
  std::string names = known_pre_tokenizers() + ", ";
  for (std::size_t at = 0; at < names.size();) {
    const std::size_t end = names.find(", ", at);
    const std::string name = names.substr(at, end - at);
    ASSERT_NE(find_pre_tokenizer(name), nullptr) << name;
    EXPECT_EQ(names.find(", " + name + ", ", end), std::string::npos) << name;
    at = end + 2;
  }
  for (const char* name :
       {"llama-bpe", "qwen2",      "qwen35",  "deepseek-v3", "tekken",     "glm4",       "chatglm-bpe", "gpt-4o",
        "exaone4",   "seed-coder", "kimi-k2", "hunyuan",     "minimax-m2", "command-r",  "olmo",        "dbrx",
        "mellum",    "a.x-4.0",    "megrez",  "superbpe",    "trillion",   "minerva-7b", "pixtral"})
    EXPECT_NE(find_pre_tokenizer(name), nullptr) << name;
}

}  // namespace vocabulary_test
}  // namespace strata::model
