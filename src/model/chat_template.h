// The chat template of a model: messages in, the prompt out, as transformers' apply_chat_template renders it
// (transformers/utils/chat_template_utils.py; the Jinja engine is minijinja, in the crate in tokenizer/).
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/tokenizer.h"

namespace strata::model {

struct ChatMessage {
  std::string role;  ///< "system", "user", "assistant"
  std::string content;
};

enum class GenerationPrompt { no, yes };

inline constexpr std::string_view kDefaultTemplate = "default";  ///< the name of the one without a name

/// The Jinja texts of a model's chat templates by name. Those of files (chat_template.jinja, which is "default", and
/// additional_chat_templates/NAME.jinja) stand in place of all that tokenizer_config.json has, but for a default that
/// no file gives. Throws Error for a "chat_template" in tokenizer_config.json that is no text, list or object.
std::map<std::string, std::string> chat_templates(const NamedTexts& files, const std::string& where);

class ChatTemplate {
 public:
  /// source: the Jinja text. special: texts of special tokens by name ("bos_token"), which the template sees as
  /// variables.
  ChatTemplate(std::string source, json special, std::string where)
      : source_(std::move(source)), special_(std::move(special)), where_(std::move(where)) {}

  /// Of chat_templates(), the one named "default" is used, and "tool_use" when tools are given. Nothing when the model
  /// has no template. Throws Error when none is the default.
  static std::optional<ChatTemplate> from_files(const NamedTexts& files, const std::string& where);

  /// The prompt of a conversation. GenerationPrompt::yes adds what opens the assistant's answer.
  /// Throws Error with the template's line when it is wrong or refuses the messages.
  std::string render(const std::vector<ChatMessage>& messages, GenerationPrompt prompt) const;
  /// messages: a list of objects with "role", "content" and whatever else the template reads ("tool_calls").
  /// variables: what the template sees besides, such as "tools", "enable_thinking", "date_string".
  std::string render(const json& messages, GenerationPrompt prompt, const json& variables = json::object()) const;

  const std::string& source() const { return source_; }

 private:
  std::string source_;
  std::string tool_use_source_;  // empty: source_ is used with tools, too
  json special_;
  std::string where_;
};

}  // namespace strata::model
