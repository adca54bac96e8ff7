// The table of tokenizer.ggml.pre: how a byte-level vocabulary cuts text into words before merging.
// llama.cpp, src/llama-vocab.cpp; expressions are those of the models' own tokenizer.json where they differ.
#pragma once
#include <span>
#include <string>
#include <string_view>

namespace strata::model {

/// The words of GPT-2.
inline constexpr std::string_view kGpt2Words =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

struct PreTokenizer {
  std::string_view name;                          ///< value of tokenizer.ggml.pre
  std::span<const std::string_view> expressions;  ///< each cuts out its matches from what those before it left
  bool nfc;                                       ///< text is normalized to Unicode NFC first
  bool ignore_merges;                             ///< a word that is a token is taken whole, whatever the merges say
  bool add_bos;                                   ///< whether to add BOS when the file does not say it
};

/// The row of this name; nullptr when the table has none.
const PreTokenizer* find_pre_tokenizer(std::string_view name);
/// The first row with these expressions, in any spelling that is known to cut the same words, and these rules; or
/// nullptr.
const PreTokenizer* find_pre_tokenizer(std::span<const std::string> expressions, bool nfc, bool ignore_merges);
/// The names of all rows, "default, smollm, ...".
std::string known_pre_tokenizers();

}  // namespace strata::model
