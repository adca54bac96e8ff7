// The vocabulary in a GGUF file -> tokenizer.json and tokenizer_config.json that give the same ids as the tokenizer
// that the file was made from. Byte-level BPE ("gpt2") and SentencePiece BPE ("llama") vocabularies.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format/gguf.h"
#include "model/tokenizer.h"

namespace strata::model {

/// U+2581, which stands for a space in the tokens of SentencePiece.
inline constexpr const char* kSpace = "\xE2\x96\x81";

/// Values of tokenizer.ggml.token_type.
enum class GgufTokenType { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

/// The tokenizer.ggml.* keys, each member named as its key without the prefix.
struct GgufVocabulary {
  std::string model;  ///< "gpt2" or "llama"
  std::string pre;    ///< how a gpt2 vocabulary splits text before merging; empty means "default"
  std::vector<std::string> tokens;
  std::vector<std::string> merges;  ///< gpt2: "left right"; empty: found from the order of the tokens
  std::vector<float> scores;        ///< llama: of each token; the higher is merged first
  std::vector<int> token_type;      ///< of each token; empty when all are normal
  std::optional<std::uint32_t> bos_token_id, eos_token_id, unknown_token_id, padding_token_id;
  std::optional<bool> add_bos_token, add_eos_token, add_space_prefix;
  std::string chat_template;                                         ///< tokenizer.chat_template; may be empty
  std::vector<std::pair<std::string, std::string>> named_templates;  ///< tokenizer.chat_template.NAME: name and text
};

/// tokenizer.ggml.NAME_token_id; nothing when the file does not have it, or has -1, which some writers take for none.
std::optional<std::uint32_t> gguf_special_token(const format::GgufFile& gguf, std::string_view name);

/// The vocabulary that the file's keys hold. Throws Error when the model or the tokens are missing, or a key has
/// another type.
GgufVocabulary gguf_vocabulary(const format::GgufFile& gguf);

/// {"tokenizer.json", ...} and {"tokenizer_config.json", ...}. Throws Error, opened by `where`, for another model or
/// an unknown pre (listing the known), and for lists whose lengths, ids or merges contradict each other. The ids of
/// tokens that fill up a batch or stand for the unknown are left out when there are no such tokens.
NamedTexts tokenizer_from_gguf(const GgufVocabulary& vocabulary, const std::string& where);

}  // namespace strata::model
