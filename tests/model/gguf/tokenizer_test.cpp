// A tokenizer rebuilt from a GGUF vocabulary gives the ids of the original one (sentencepiece, Hugging Face) and obeys
// the flags of the file; a vocabulary that contradicts itself is refused.
#include "model/gguf/tokenizer.h"

#include <gtest/gtest.h>

#include <cstring>

#include "core/file.h"
#include "model/chat_template.h"
#include "model/model.h"
#include "support/error_of.h"
#include "support/golden_ids.h"

namespace strata::model {
namespace gguf_tokenizer_test {

using Ids = std::vector<std::uint32_t>;

Tokenizer rebuild(const GgufVocabulary& vocabulary) {
  return Tokenizer::from_files(tokenizer_from_gguf(vocabulary, "file.gguf"), "file.gguf");
}

std::string error_of(const GgufVocabulary& vocabulary) {
  return ::strata::error_of([&] { tokenizer_from_gguf(vocabulary, "file.gguf"); });
}

/// The 256 symbols of byte-level BPE: printable bytes stand for themselves, the others for U+0100 and up.
std::vector<std::string> byte_symbols() {
  std::vector<std::string> symbols;
  std::uint32_t next = 256;
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    const std::uint32_t point = printable ? byte : next++;
    symbols.push_back(point < 128
                          ? std::string(1, static_cast<char>(point))
                          : std::string{static_cast<char>(0xC0 | point >> 6), static_cast<char>(0x80 | (point & 63))});
  }
  return symbols;
}

/// Byte-level: 256 bytes, then merged pieces, then two control tokens and a user-defined one.
GgufVocabulary small_bytes(const std::string& pre) {
  GgufVocabulary v;
  v.model = "gpt2";
  v.pre = pre;
  v.tokens = byte_symbols();
  for (const char* piece : {"12", "123", "1234", "ab", "abc", "bc", "\xC3\x83\xC2\xA9", "[NOTE]", "<s>", "</s>"})
    v.tokens.push_back(piece);
  v.merges = {"1 2", "12 3", "123 4", "b c", "a b", "a bc", "\xC3\x83 \xC2\xA9"};
  v.token_type.assign(v.tokens.size(), 1);
  v.token_type[263] = 4;
  v.token_type[264] = v.token_type[265] = 3;
  v.bos_token_id = 264;
  v.eos_token_id = 265;
  return v;
}

/// SentencePiece: <unk> <s> </s>, 256 bytes, a few pieces whose scores fall with the id.
GgufVocabulary small_pieces() {
  GgufVocabulary v;
  v.model = "llama";
  v.tokens = {"<unk>", "<s>", "</s>"};
  v.token_type = {2, 3, 3};
  for (int byte = 0; byte < 256; ++byte) v.tokens.push_back(fmt::format("<0x{:02X}>", byte));
  v.token_type.resize(v.tokens.size(), 6);
  for (const char* piece : {"\xE2\x96\x81"
                            "a",
                            "bc", "ab", "abc", "a", "b", "c", "\xE2\x96\x81", "[NOTE]"})
    v.tokens.push_back(piece);
  v.token_type.resize(v.tokens.size(), 1);
  v.token_type.back() = 4;
  for (std::size_t id = 0; id < v.tokens.size(); ++id)
    v.scores.push_back(id < 259 ? 0.0f : 259.0f - static_cast<float>(id));
  return v;
}

std::uint64_t varint(const std::string& bytes, std::size_t& at) {
  std::uint64_t value = 0;
  for (int shift = 0; at < bytes.size(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes[at++]);
    value |= static_cast<std::uint64_t>(byte & 127) << shift;
    if (byte < 128) break;
  }
  return value;
}

/// Pieces, scores and types of a SentencePiece model: protobuf field 1, each with fields 1 (text), 2 (f32), 3 (type).
GgufVocabulary from_sentencepiece(const std::string& model) {
  GgufVocabulary v;
  v.model = "llama";
  for (std::size_t at = 0; at < model.size();) {
    const std::uint64_t key = varint(model, at), size = varint(model, at);
    const std::string message = model.substr(at, size);
    at += size;
    if (key != (1 << 3 | 2)) continue;
    v.tokens.emplace_back();
    v.scores.push_back(0);
    v.token_type.push_back(1);
    for (std::size_t i = 0; i < message.size();) {
      const std::uint64_t field = varint(message, i);
      if (field == (1 << 3 | 2)) {
        const std::uint64_t length = varint(message, i);
        v.tokens.back() = message.substr(i, length);
        i += length;
      } else if (field == (2 << 3 | 5)) {
        std::memcpy(&v.scores.back(), message.data() + i, 4);
        i += 4;
      } else {
        v.token_type.back() = static_cast<int>(varint(message, i));
      }
    }
  }
  return v;
}

TEST(GgufTokenizer, SentencePieceIdsEqualSentencePiece) {
  const std::filesystem::path path = std::filesystem::path(STRATA_SHARED) / "data/models/stories260K/tok512.model";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  const GgufVocabulary vocabulary = from_sentencepiece(read_text_file(path));
  ASSERT_EQ(vocabulary.tokens.size(), 512u);
  const Tokenizer tokenizer = rebuild(vocabulary);
  const json golden = golden_ids("tok512");
  for (const json& sample : golden["samples"]) {
    const auto text = sample["text"].get<std::string>();
    EXPECT_EQ(tokenizer.encode(text), sample["ids"].get<Ids>()) << text;
  }
  EXPECT_GT(expect_golden_files(tokenizer, golden, 400'000), 0u);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("Once upon a time\n \xF0\x9F\x98\x80 x")),
            "Once upon a time\n \xF0\x9F\x98\x80 x");
}

TEST(GgufTokenizer, SmolLm2IdsEqualTheHuggingFaceTokenizer) {
  const std::filesystem::path path = std::filesystem::path(STRATA_TEST_MODELS) / "smollm2.gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  const NamedTexts files = tokenizer_files(Model::open(path));
  const Tokenizer tokenizer = Tokenizer::from_files(files, path.string());
  expect_golden_samples(tokenizer, golden_ids("smollm2"));
  if (expect_golden_files(tokenizer, golden_ids("smollm2"), 400'000) == 0)
    GTEST_SKIP() << "no texts in " << STRATA_SHARED;
  EXPECT_EQ(tokenizer.bos(), 1u);
  EXPECT_EQ(tokenizer.eos(), Ids{2});
  EXPECT_FALSE(tokenizer.add_bos());
  EXPECT_EQ(ChatTemplate::from_files(files, path.string())
                ->render(std::vector<ChatMessage>{{"user", "Hi"}}, GenerationPrompt::yes),
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
}

TEST(GgufTokenizer, PreDecidesHowTextIsCut) {
  EXPECT_EQ(rebuild(small_bytes("gpt-2")).encode("1234"), (Ids{258}));
  EXPECT_EQ(rebuild(small_bytes("smollm")).encode("12"), (Ids{'1', '2'}));
  EXPECT_EQ(rebuild(small_bytes("llama-bpe")).encode("1234"), (Ids{257, '4'}));
  EXPECT_EQ(rebuild(small_bytes("qwen2")).encode("12"), (Ids{'1', '2'}));
  EXPECT_EQ(rebuild(small_bytes("default")).encode("1234"), (Ids{257, '4'}));
  EXPECT_EQ(rebuild(small_bytes("")).encode("1234"), (Ids{257, '4'}));
}

TEST(GgufTokenizer, SuperBpeCountsDigitsFromTheRight) {
  EXPECT_EQ(rebuild(small_bytes("superbpe")).encode("1234"), (Ids{'1', '2', '3', '4'}));
  EXPECT_EQ(rebuild(small_bytes("superbpe")).encode("4123"), (Ids{'4', 257}));
}

TEST(GgufTokenizer, OnlyLlama3TakesWordsWholeAgainstTheMerges) {
  // The merges reach "abc" over "bc" only.
  GgufVocabulary v = small_bytes("gpt-2");
  v.merges = {"a b", "b c", "a bc"};
  EXPECT_EQ(rebuild(v).encode("abc"), (Ids{259, 'c'}));
  v.pre = "llama-bpe";
  EXPECT_EQ(rebuild(v).encode("abc"), (Ids{260}));
}

TEST(GgufTokenizer, Qwen2NormalizesToComposedCharacters) {
  const std::string decomposed = "e\xCC\x81";
  EXPECT_EQ(rebuild(small_bytes("qwen2")).encode(decomposed), (Ids{262}));
  EXPECT_EQ(rebuild(small_bytes("gpt-2")).encode(decomposed), (Ids{'e', 0xCC, 0x81}));
}

TEST(GgufTokenizer, ControlTokensAreSpecialAndUserDefinedOnesAreNot) {
  const Tokenizer bytes = rebuild(small_bytes("gpt-2")), pieces = rebuild(small_pieces());
  EXPECT_EQ(bytes.encode("ab<s>[NOTE]"), (Ids{259, 264, 263}));
  EXPECT_EQ(bytes.decode(Ids{264, 263, 'a'}), "[NOTE]a");
  EXPECT_EQ(pieces.decode(Ids{1, 267}), "[NOTE]");
  // The space prefix comes back after every marker, as in llama.cpp.
  EXPECT_EQ(pieces.encode("a[NOTE]a</s>a"), (Ids{259, 267, 259, 2, 259}));
}

TEST(GgufTokenizer, EndsAreAddedAsTheFileSays) {
  GgufVocabulary v = small_bytes("gpt-2");
  EXPECT_EQ(rebuild(v).encode("ab", AddSpecial::yes), (Ids{259}));
  v.add_bos_token = true;
  EXPECT_EQ(rebuild(v).encode("ab", AddSpecial::yes), (Ids{264, 259}));
  EXPECT_TRUE(rebuild(v).add_bos());
  v.add_eos_token = true;
  EXPECT_EQ(rebuild(v).encode("ab", AddSpecial::yes), (Ids{264, 259, 265}));
  // What the library alone does with the tokenizer.json: the two files agree.
  EXPECT_EQ(Tokenizer::from_json(tokenizer_from_gguf(v, "f")[0].second, "f").encode("ab", AddSpecial::yes),
            (Ids{264, 259, 265}));
  EXPECT_TRUE(rebuild(small_bytes("llama-bpe")).add_bos());
  EXPECT_TRUE(rebuild(small_pieces()).add_bos());
  EXPECT_EQ(rebuild(small_pieces()).encode("a", AddSpecial::yes), (Ids{1, 259}));
}

TEST(GgufTokenizer, ScoresDecideTheOrderOfMerges) {
  GgufVocabulary v = small_pieces();
  EXPECT_EQ(rebuild(v).encode("abc"), (Ids{259, 260}));  // "_a" before "bc" before "ab"
  v.add_space_prefix = false;
  EXPECT_EQ(rebuild(v).encode("abc"), (Ids{262}));  // "bc", then "abc"
  v.scores[260] = -100;
  v.scores[262] = -101;
  EXPECT_EQ(rebuild(v).encode("abc"), (Ids{262}));  // "ab", then "abc"
  v.tokens[262] = "xyz";
  EXPECT_EQ(rebuild(v).encode("abc"), (Ids{261, 265}));
}

TEST(GgufTokenizer, MergesOfGemma4CountAndScoresDoNot) {
  GgufVocabulary v = small_pieces();
  v.model = "gemma4";
  v.add_space_prefix = false;
  v.merges = {"a b", "ab c", "b c"};
  EXPECT_EQ(rebuild(v).encode("abc"), (Ids{262}));
  v.merges = {"b c"};
  EXPECT_EQ(rebuild(v).encode("abc"), (Ids{263, 260}));  // by scores "abc" is one piece
  EXPECT_EQ(rebuild(v).encode("b c\xC3\xA9"), (Ids{264, 266, 265, 3 + 0xC3, 3 + 0xA9}));
  EXPECT_EQ(rebuild(v).decode(Ids{264, 266, 265}), "b c");
}

TEST(GgufTokenizer, UnknownCharactersBecomeBytes) {
  const Tokenizer tokenizer = rebuild(small_pieces());
  EXPECT_EQ(tokenizer.encode("\xC3\xA9"), (Ids{266, 3 + 0xC3, 3 + 0xA9}));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("\xC3\xA9 a")), "\xC3\xA9 a");
  EXPECT_EQ(tokenizer.decode(Ids{259, 3 + 0xC3}), "a\xEF\xBF\xBD");
}

TEST(GgufTokenizer, PaddingOfTheVocabularyIsLeftOut) {
  GgufVocabulary v = small_bytes("gpt-2");
  v.tokens.push_back("[PAD266]");
  v.token_type.push_back(5);
  const Tokenizer tokenizer = rebuild(v);
  EXPECT_EQ(tokenizer.id_to_token(266), std::nullopt);
  EXPECT_EQ(tokenizer.vocab_size(), 266u);
}

TEST(GgufTokenizer, AnOrdinaryPaddingTokenDoesNotBecomeSpecial) {
  GgufVocabulary v = small_bytes("gpt-2");
  v.padding_token_id = 'a';
  EXPECT_EQ(rebuild(v).encode("ab"), (Ids{259}));
}

TEST(GgufTokenizer, IdsOfNoTokenOfPaddingAndUnknownStopNothing) {
  GgufVocabulary v = small_bytes("gpt-2");
  for (const std::uint32_t id : {266u, 0xFFFFFFFEu}) {
    v.padding_token_id = v.unknown_token_id = id;
    const NamedTexts files = tokenizer_from_gguf(v, "file.gguf");
    EXPECT_FALSE(json::parse(*find_text(files, "tokenizer_config.json")).contains("pad_token"));
    EXPECT_EQ(Tokenizer::from_files(files, "file.gguf").encode("ab"), (Ids{259}));
  }
}

TEST(GgufTokenizer, MergesThatAreMissingAreFoundFromTheOrderOfTokens) {
  GgufVocabulary v = small_bytes("gpt-2");
  v.merges.clear();
  const Tokenizer tokenizer = rebuild(v);
  EXPECT_EQ(tokenizer.encode("1234"), (Ids{258}));
  EXPECT_EQ(tokenizer.encode("ab"), (Ids{259}));
  EXPECT_EQ(tokenizer.encode("abc"), (Ids{260})) << "made of ab, which comes before it, and c";
  EXPECT_EQ(tokenizer.encode("bc<s>"), (Ids{261, 264})) << "a control token has no merge";
}

TEST(GgufTokenizer, AMarkerWithoutTextIsNone) {
  GgufVocabulary v = small_pieces();
  v.tokens[0] = v.tokens[1] = "";
  const Tokenizer tokenizer = rebuild(v);
  EXPECT_EQ(tokenizer.bos(), std::nullopt);
  EXPECT_EQ(tokenizer.encode("a", AddSpecial::yes), (Ids{259}));
}

TEST(GgufTokenizer, UnknownKindsListTheKnown) {
  GgufVocabulary v = small_bytes("gpt-2");
  v.pre = "my-bpe";
  EXPECT_PRED_FORMAT2(testing::IsSubstring,
                      "tokenizer.ggml.pre is 'my-bpe', which is not known; known are default, smollm", error_of(v));
  v.model = "bert";
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "tokenizer.ggml.model is 'bert'", error_of(v));
}

TEST(GgufTokenizer, ContradictionsAreRefused) {
  const auto refused = [](const char* part, auto&& damage, GgufVocabulary v) {
    damage(v);
    EXPECT_PRED_FORMAT2(testing::IsSubstring, part, error_of(v));
  };
  const GgufVocabulary bytes = small_bytes("gpt-2"), pieces = small_pieces();
  refused(
      "tokens is missing or empty", [](auto& v) { v.tokens.clear(); }, bytes);
  refused(
      "token_type has 3 entries for 266 tokens", [](auto& v) { v.token_type.resize(3); }, bytes);
  refused(
      "scores has 0 entries", [](auto& v) { v.scores.clear(); }, pieces);
  refused(
      "scores[262] is not a number", [](auto& v) { v.scores[262] = NAN; }, pieces);
  refused(
      "bos_token_id is 266, but there are 266 tokens", [](auto& v) { v.bos_token_id = 266; }, bytes);
  refused(
      "add_bos_token is set", [](auto& v) { v.add_bos_token = true, v.bos_token_id.reset(); }, bytes);
  refused(
      "tokens[7] is not valid UTF-8", [](auto& v) { v.tokens[7] = "\xED\xA0\x80"; }, bytes);
  refused(
      "tokens[256] and [257] are both", [](auto& v) { v.tokens[257] = v.tokens[256]; }, bytes);
  refused(
      "tokens[5] has 5000 bytes", [](auto& v) { v.tokens[5] = std::string(5000, 'x'); }, bytes);
  refused(
      "merges[0] is 'abc', expected two pieces", [](auto& v) { v.merges[0] = "abc"; }, bytes);
  refused(
      "merges[1] needs the token '9x'", [](auto& v) { v.merges[1] = "9 x"; }, bytes);
  refused(
      "chat_template is not valid UTF-8", [](auto& v) { v.chat_template = "\xFF"; }, bytes);
}

}  // namespace gguf_tokenizer_test
}  // namespace strata::model
