// Regular expressions (Oniguruma) of byte-level vocabularies: each value of tokenizer.ggml.pre is a row.
// A new value is a row here, tested by its tokenizer's ids of the texts in tests/golden.
#include "model/gguf/pre_tokenizers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace strata::model {
namespace {

using Text = std::string_view;

constexpr Text kNumber = R"(\p{N})", kNumbers = R"(\p{N}+)", kUpToThreeNumbers = R"(\p{N}{1,3})";
constexpr Text kThreeDigits = "[0-9][0-9][0-9]";

constexpr Text kDefault[] = {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2Words, kNumbers, kThreeDigits};
constexpr Text kFalcon[] = {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2Words, kThreeDigits};
constexpr Text kGpt2[] = {kGpt2Words};
constexpr Text kDigitsGpt2[] = {kNumber, kGpt2Words};
constexpr Text kLlama3[] = {
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Text kQwen2[] = {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
                           R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Text kQwen35[] = {
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Text kTekken[] = {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
                            R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
                            R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Text kGpt4o[] = {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
                           R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
                           R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
                           R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
                           R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Text kDeepseekCoder[] = {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)",
                                   R"([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)", kNumber};
constexpr Text kDeepseekV3[] = {
    kUpToThreeNumbers, R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)",
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
    R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Text kDeepseekLlm[] = {
    R"([\r\n])",
    // Letters that have a case, as listed in the model's own tokenizer.json.
    R"(\s?[)"
    R"(A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF})"
    R"(\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1})"
    R"(\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5})"
    R"(\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A})"
    R"(\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B})"
    R"(\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC})"
    R"(\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107})"
    R"(\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134})"
    R"(\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4})"
    R"(\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787})"
    R"(\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A})"
    R"(\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2})"
    R"(\x{118A0}-\x{118DF}\x{1E900}-\x{1E943})"
    R"(]+)",
    R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)", R"(\s+$)",
    R"([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)", kNumbers};

constexpr Text kSeedCoder[] = {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+)"
                               R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Text kExaoneMoe[] = {
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Text kSuperBpe[] = {kNumbers, R"((?=(\d{3})+(?!\d)))"};
constexpr Text kTinyAya[] = {R"(\d{1,3}(?=(?:\d{3})*\b))", kGpt4o[0]};
constexpr Text kKimiK2[] = {
    R"([\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Text kMiniCpm5[] = {
    kUpToThreeNumbers, R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*)"
                       R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Text kBloom[] = {R"( ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+)"};
constexpr Text kViking[] = {kBloom[0], kNumber};

constexpr PreTokenizer kTable[] = {
    // name, expressions, nfc, ignore_merges, add_bos
    {"default", kDefault, false, false, false},
    {"smollm", kDigitsGpt2, false, false, false},
    {"starcoder", kDigitsGpt2, false, false, false},
    {"refact", kDigitsGpt2, false, false, false},
    {"codeshell", kDigitsGpt2, false, false, false},
    {"exaone", kDigitsGpt2, false, false, false},
    {"minerva-7b", kDigitsGpt2, false, false, false},
    {"mellum2", kDigitsGpt2, false, false, false},
    {"command-r", kDigitsGpt2, true, false, false},
    {"gpt-2", kGpt2, false, false, false},
    {"phi-2", kGpt2, false, false, false},
    {"mpt", kGpt2, false, false, false},
    {"gigachat", kGpt2, false, false, false},
    {"a.x-4.0", kGpt2, false, false, false},
    {"mellum", kGpt2, false, false, false},
    {"exaone4", kGpt2, false, false, false},
    {"jais", kGpt2, false, false, false},
    {"trillion", kGpt2, false, false, false},
    {"granite-docling", kGpt2, false, false, false},
    {"olmo", kGpt2, true, false, false},
    {"falcon", kFalcon, false, false, false},
    {"llama-bpe", kLlama3, false, true, true},
    {"llama3", kLlama3, false, true, true},
    {"llama-v3", kLlama3, false, true, true},
    {"falcon3", kLlama3, false, true, true},
    {"falcon-h1", kLlama3, false, true, true},
    {"pixtral", kLlama3, false, true, true},
    {"midm-2.0", kLlama3, false, true, true},
    {"lfm2", kLlama3, false, true, true},
    {"dbrx", kLlama3, false, false, false},
    {"smaug-bpe", kLlama3, false, false, false},
    {"glm4", kLlama3, false, true, false},
    {"chatglm-bpe", kLlama3, false, true, false},
    {"minicpm5", kMiniCpm5, false, true, false},
    {"qwen2", kQwen2, true, false, false},
    {"megrez", kQwen2, true, false, false},
    {"deepseek-r1-qwen", kQwen2, false, false, false},
    {"stablelm2", kQwen2, false, false, false},
    {"hunyuan", kQwen2, false, false, false},
    {"bailingmoe", kQwen2, false, false, false},
    {"bailingmoe2", kQwen2, false, false, false},
    {"llada-moe", kQwen2, false, false, false},
    {"grok-2", kQwen2, false, false, false},
    {"solar-open", kQwen2, false, false, false},
    {"kormo", kQwen2, false, false, false},
    {"qwen35", kQwen35, true, false, false},
    {"seed-coder", kSeedCoder, false, false, false},
    {"exaone-moe", kExaoneMoe, false, false, false},
    {"tekken", kTekken, false, true, true},
    {"gpt-4o", kGpt4o, false, false, false},
    {"llama4", kGpt4o, false, false, false},
    {"kanana2", kGpt4o, false, false, false},
    {"minimax-m2", kGpt4o, false, false, false},
    {"tiny_aya", kTinyAya, false, false, false},
    {"cohere2moe", kTinyAya, false, false, false},
    {"kimi-k2", kKimiK2, false, false, false},
    {"superbpe", kSuperBpe, false, false, false},
    {"deepseek-coder", kDeepseekCoder, false, false, false},
    {"deepseek-llm", kDeepseekLlm, false, false, false},
    {"deepseek-v3", kDeepseekV3, false, false, false},
    {"hunyuan-dense", kDeepseekV3, false, false, false},
    {"joyai-llm", kDeepseekV3, false, false, false},
    {"poro-chat", kBloom, false, false, false},
    {"bloom", kBloom, false, false, false},
    {"gpt3-finnish", kBloom, false, false, false},
    {"viking", kViking, false, false, false},
};

using Spellings = std::pair<Text, Text>;
/// Two ways to write what cuts the same words; the second is that of the table.
constexpr Spellings kSpellings[] = {
    {"'(?i:[sdmt]|ll|ve|re)", "(?i:'s|'t|'re|'ve|'m|'ll|'d)"},
    {R"(?+\p{L})", R"(?\p{L})"},
    {R"(]++[\r\n])", R"(]+[\r\n])"},
    {R"(\p{N}{1}|)", R"(\p{N}|)"},
    {R"(\s*[\r\n]|)", R"(\s*[\r\n]+|)"},
};

/// An expression in the table's spelling: line ends as escapes, other characters than ASCII as \x{4E00}, and the
/// second of each of kSpellings.
std::string table_spelling(Text expression) {
  std::string result;
  for (std::size_t i = 0; i < expression.size(); ++i) {
    const auto lead = static_cast<unsigned char>(expression[i]);
    if (lead < 0x80) {
      result += lead == '\r' ? "\\r" : lead == '\n' ? "\\n" : std::string(1, expression[i]);
      continue;
    }
    std::uint32_t point = lead & (lead < 0xE0 ? 0x1Fu : lead < 0xF0 ? 0x0Fu : 0x07u);
    for (; i + 1 < expression.size() && (expression[i + 1] & 0xC0) == 0x80; ++i)
      point = point << 6 | (static_cast<unsigned char>(expression[i + 1]) & 0x3Fu);
    result += fmt::format("\\x{{{:X}}}", point);
  }
  for (const auto& [from, to] : kSpellings)
    for (std::size_t at = result.find(from); at != std::string::npos; at = result.find(from, at + to.size()))
      result.replace(at, from.size(), to);
  return result;
}

}  // namespace

const PreTokenizer* find_pre_tokenizer(std::string_view name) {
  for (const PreTokenizer& row : kTable)
    if (row.name == name) return &row;
  return nullptr;
}

const PreTokenizer* find_pre_tokenizer(std::span<const std::string> expressions, bool nfc, bool ignore_merges) {
  std::vector<std::string> spelled;
  for (const std::string& expression : expressions) spelled.push_back(table_spelling(expression));
  for (const PreTokenizer& row : kTable)
    if (row.nfc == nfc && row.ignore_merges == ignore_merges && std::ranges::equal(row.expressions, spelled))
      return &row;
  return nullptr;
}

std::string known_pre_tokenizers() {
  std::vector<std::string_view> names;
  for (const PreTokenizer& row : kTable) names.push_back(row.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace strata::model
