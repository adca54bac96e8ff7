// The chat template of a model: messages in, the prompt out, as transformers' apply_chat_template renders it
// (transformers/utils/chat_template_utils.py; the Jinja engine is minijinja, in the crate in tokenizer/).
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "model/tokenizer.h"

namespace strata::model {

struct ChatMessage {
  std::string role;  ///< "system", "user", "assistant"
  std::string content;
};

enum class GenerationPrompt { no, yes };

class ChatTemplate {
 public:
  /// source: Jinja. special: "bos_token" etc. -> text, which the template sees as variables.
  ChatTemplate(std::string source, json special, std::string where)
      : source_(std::move(source)), special_(std::move(special)), where_(std::move(where)) {}

  /// chat_template.jinja, else tokenizer_config.json's chat_template (text, or a list of {name, template} of which
  /// "default" is used, and "tool_use" when tools are given). Nothing when the model has none.
  /// Throws Error when a list has no default.
  static std::optional<ChatTemplate> from_files(const NamedTexts& files, const std::string& where);

  /// The prompt of a conversation. GenerationPrompt::yes adds what opens the assistant's answer.
  /// Throws Error with the template's line when it is wrong or refuses the messages.
  std::string render(const std::vector<ChatMessage>& messages, GenerationPrompt prompt) const;
  /// messages: a list of objects with "role", "content" and whatever else the template reads ("tool_calls").
  /// variables: further ones, such as "tools", "enable_thinking", "date_string".
  std::string render(const json& messages, GenerationPrompt prompt, const json& variables = json::object()) const;

  const std::string& source() const { return source_; }

 private:
  std::string source_;
  std::string tool_use_source_;  // empty: the same
  json special_;
  std::string where_;
};

}  // namespace strata::model
