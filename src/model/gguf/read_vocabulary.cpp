// The tokenizer.ggml.* keys of a GGUF file -> GgufVocabulary.
// What the lists mean together is checked by tokenizer_from_gguf, which reads them.
#include <algorithm>
#include <variant>

#include "model/gguf/tokenizer.h"

namespace strata::model {

GgufVocabulary gguf_vocabulary(const format::GgufFile& gguf) {
  GgufVocabulary vocabulary;
  vocabulary.model = gguf.text("tokenizer.ggml.model");
  if (gguf.has("tokenizer.ggml.pre")) vocabulary.pre = gguf.text("tokenizer.ggml.pre");
  vocabulary.tokens = gguf.texts("tokenizer.ggml.tokens");
  if (gguf.has("tokenizer.ggml.merges")) vocabulary.merges = gguf.texts("tokenizer.ggml.merges");
  if (gguf.has("tokenizer.ggml.scores"))
    for (const double score : gguf.reals("tokenizer.ggml.scores"))
      vocabulary.scores.push_back(static_cast<float>(score));
  if (gguf.has("tokenizer.ggml.token_type"))
    for (const std::int64_t type : gguf.integers("tokenizer.ggml.token_type"))
      vocabulary.token_type.push_back(static_cast<int>(std::clamp<std::int64_t>(type, -1, 1000)));
  const auto flag = [&](const char* key) -> std::optional<bool> {
    return gguf.has(key) ? std::optional(gguf.boolean(key)) : std::nullopt;
  };
  vocabulary.bos_token_id = gguf_special_token(gguf, "bos");
  vocabulary.eos_token_id = gguf_special_token(gguf, "eos");
  vocabulary.unknown_token_id = gguf_special_token(gguf, "unknown");
  vocabulary.padding_token_id = gguf_special_token(gguf, "padding");
  vocabulary.add_bos_token = flag("tokenizer.ggml.add_bos_token");
  vocabulary.add_eos_token = flag("tokenizer.ggml.add_eos_token");
  vocabulary.add_space_prefix = flag("tokenizer.ggml.add_space_prefix");
  if (gguf.has("tokenizer.chat_template")) vocabulary.chat_template = gguf.text("tokenizer.chat_template");
  constexpr std::string_view named = "tokenizer.chat_template.";
  for (const auto& [key, value] : gguf.metadata())
    if (const auto* text = std::get_if<std::string>(&value); text != nullptr && key.starts_with(named))
      vocabulary.named_templates.emplace_back(key.substr(named.size()), *text);
  return vocabulary;
}

}  // namespace strata::model
