// Finding a model's chat template and building the variables that it sees, as transformers does.
// Rendering itself is one call of the crate.
#include "model/chat_template.h"

#include "model/crate_text.h"
#include "strata_tokenizer.h"

namespace strata::model {
namespace {

using Sources = std::map<std::string, std::string>;  // the Jinja text by the template's name
const std::string kUnnamed(kDefaultTemplate);

/// chat_template.jinja is the default; additional_chat_templates/NAME.jinja has its own name.
Sources sources_of_files(const NamedTexts& files) {
  constexpr std::string_view folder = "additional_chat_templates/", ending = ".jinja";
  Sources sources;
  if (const std::string* source = find_text(files, "chat_template.jinja")) sources[kUnnamed] = *source;
  for (const auto& [name, source] : files)
    if (name.starts_with(folder) && name.ends_with(ending) && name.size() >= folder.size() + ending.size())
      sources[name.substr(folder.size(), name.size() - folder.size() - ending.size())] = source;
  return sources;
}

/// "chat_template" of tokenizer_config.json: a text, which is the default, a list of {name, template}, or an object of
/// templates by name.
Sources sources_of_config(const json& config, const std::string& where) {
  const std::string path = where + ": tokenizer_config.json";
  const json value = config.value("chat_template", json());
  if (value.is_null()) return {};
  if (value.is_string()) return {{kUnnamed, value.get<std::string>()}};
  Sources sources;
  if (value.is_object()) {
    for (const auto& [name, source] : value.items())
      sources[name] = convert<std::string>(source, "chat_template", path);
    return sources;
  }
  if (!value.is_array()) fail("{}: 'chat_template' is {}, expected a text or a list", path, brief(value));
  for (const json& entry : value) {
    if (!entry.is_object()) fail("{}: 'chat_template' has the entry {}, expected an object", path, brief(entry));
    sources[get<std::string>(entry, "name", path)] = get<std::string>(entry, "template", path);
  }
  return sources;
}

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

std::map<std::string, std::string> chat_templates(const NamedTexts& files, const std::string& where) {
  Sources sources = sources_of_files(files);
  if (sources.contains(kUnnamed)) return sources;
  Sources configured = sources_of_config(parse_named(files, "tokenizer_config.json", where), where);
  if (sources.empty()) return configured;
  if (const auto it = configured.find(kUnnamed); it != configured.end()) sources.insert(*it);
  return sources;
}

std::optional<ChatTemplate> ChatTemplate::from_files(const NamedTexts& files, const std::string& where) {
  const Sources sources = chat_templates(files, where);
  if (sources.empty()) return std::nullopt;
  if (!sources.contains(kUnnamed))
    fail("{}: has chat templates, but none named '{}'; the first is '{}'", where, kUnnamed, sources.begin()->first);
  ChatTemplate result(sources.at(kUnnamed), special_tokens(files, where), where);
  if (const auto it = sources.find("tool_use"); it != sources.end()) result.tool_use_source_ = it->second;
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
