// Finding a model's chat template and building the variables that it sees, as transformers does.
// Rendering itself is one call of the crate.
#include "model/chat_template.h"

#include "model/crate_text.h"
#include "strata_tokenizer.h"

namespace strata::model {
namespace {

/// transformers gives a message's reasoning under every name by which templates read it.
json with_reasoning_names(json message) {
  if (!message.is_object()) return message;
  for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
    const auto it = message.find(name);
    if (it == message.end() || it->is_null()) continue;
    const json reasoning = *it;
    if (!message.contains("thinking")) message["thinking"] = reasoning;
    message["reasoning_content"] = reasoning;
    break;
  }
  return message;
}

std::string render_source(const std::string& source, const json& context, const std::string& where) {
  std::string text;
  try {
    text = context.dump();
  } catch (const json::exception&) {
    fail("{}: a message of the chat is not valid UTF-8", where);
  }
  CrateText prompt, error;
  if (strata_template_render(source.data(), source.size(), text.data(), text.size(), prompt.out(), error.out()) !=
      STRATA_OK)
    fail("{}: chat template: {}", where, error.view());
  return std::string(prompt.view());
}

}  // namespace

std::optional<ChatTemplate> ChatTemplate::from_files(const NamedTexts& files, const std::string& where) {
  const json special = special_tokens(files, where);
  if (const std::string* source = find_text(files, "chat_template.jinja")) return ChatTemplate(*source, special, where);
  const std::string* text = find_text(files, "tokenizer_config.json");
  if (text == nullptr) return std::nullopt;
  const std::string path = where + ": tokenizer_config.json";
  const json config = parse_json(*text, path);
  const auto it = config.find("chat_template");
  if (it == config.end() || it->is_null()) return std::nullopt;
  if (it->is_string()) return ChatTemplate(it->get<std::string>(), special, where);
  if (!it->is_array()) fail("{}: 'chat_template' is neither text nor a list", path);

  std::optional<ChatTemplate> result;
  std::string tool_use;
  for (const json& entry : *it) {
    if (!entry.is_object()) fail("{}: 'chat_template' has an entry that is no object", path);
    const auto name = get<std::string>(entry, "name", path), source = get<std::string>(entry, "template", path);
    if (name == "default") result.emplace(source, special, where);
    if (name == "tool_use") tool_use = source;
  }
  if (!result) fail("{}: 'chat_template' is a list without a template named 'default'", path);
  result->tool_use_source_ = tool_use;
  return result;
}

std::string ChatTemplate::render(const std::vector<ChatMessage>& messages, GenerationPrompt prompt) const {
  json list = json::array();
  for (const ChatMessage& message : messages) list.push_back({{"role", message.role}, {"content", message.content}});
  return render(list, prompt);
}

std::string ChatTemplate::render(const json& messages, GenerationPrompt prompt, const json& variables) const {
  STRATA_CHECK(messages.is_array() && variables.is_object());
  json context = {{"messages", json::array()},
                  {"tools", nullptr},
                  {"documents", nullptr},
                  {"add_generation_prompt", prompt == GenerationPrompt::yes}};
  for (const json& message : messages) context["messages"].push_back(with_reasoning_names(message));
  context.update(special_);
  context.update(variables);
  const bool tools = !context["tools"].is_null() && !tool_use_source_.empty();
  return render_source(tools ? tool_use_source_ : source_, context, where_);
}

}  // namespace strata::model
