// The vocabulary in a GGUF file -> tokenizer.json and tokenizer_config.json that give the same ids as the tokenizer
// that the file was made from. Byte-level BPE ("gpt2") and SentencePiece BPE ("llama") vocabularies.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/tokenizer.h"

namespace strata::model {

/// Values of tokenizer.ggml.token_type.
enum class GgufTokenType { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

/// The tokenizer.ggml.* keys, each member named as its key without the prefix.
struct GgufVocabulary {
  std::string model;  ///< "gpt2" or "llama"
  std::string pre;    ///< how a gpt2 vocabulary splits text before merging; empty means "default"
  std::vector<std::string> tokens;
  std::vector<std::string> merges;  ///< gpt2: "left right"
  std::vector<float> scores;        ///< llama: of each token; the higher is merged first
  std::vector<int> token_type;      ///< of each token; empty when all are normal
  std::optional<std::uint32_t> bos_token_id, eos_token_id, unknown_token_id, padding_token_id;
  std::optional<bool> add_bos_token, add_eos_token, add_space_prefix;
  std::string chat_template;  ///< tokenizer.chat_template; may be empty
};

/// {"tokenizer.json", ...} and {"tokenizer_config.json", ...}. Throws Error, opened by `where`, for another model or
/// an unknown pre (listing the known), and for lists whose lengths, ids or merges contradict each other.
NamedTexts tokenizer_from_gguf(const GgufVocabulary& vocabulary, const std::string& where);

}  // namespace strata::model
