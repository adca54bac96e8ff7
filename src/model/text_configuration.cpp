// Where config.json describes the text model: at its top level, or in a part of it.
#include "model/text_configuration.h"

#include <string_view>

#include "core/error.h"

namespace strata::model {
namespace {

/// The part of config.json that describes a wrapper's text model; nullptr where there is none.
const json* text_part(const json& config) {
  for (const char* key : {"text_config", "llm_config", "language_config"})
    if (const auto part = config.find(key); part != config.end() && part->is_object()) return &*part;
  return nullptr;
}

/// A model that speaks too: what reads and writes text is its thinker.
const json* thinker_of(const json& config) {
  const auto thinker = config.find("thinker_config");
  return thinker != config.end() && thinker->is_object() ? &*thinker : nullptr;
}

}  // namespace

bool is_wrapper(const json& config) {
  return config.is_object() && (thinker_of(config) != nullptr || text_part(config) != nullptr);
}

json text_configuration(const json& config, const std::string& where) {
  if (!config.is_object()) fail("{}: expected a JSON object", where);
  if (const json* thinker = thinker_of(config)) return text_configuration(*thinker, where + ": 'thinker_config'");
  json text = config;
  if (const json* part = text_part(config)) {
    text = *part;
    for (const char* shared : {"model_type", "tie_word_embeddings", "quantization_config"})
      if (config.contains(shared) && !(text.contains(shared) && std::string_view(shared) == "model_type"))
        text[shared] = config[shared];
  }
  get<std::string>(text, "model_type", where);
  return text;
}

bool leaves_ties_to_class(const json& config, const json& text) {
  if (!is_wrapper(config) || text.contains("tie_word_embeddings")) return false;
  const auto classes = config.find("architectures");
  if (classes == config.end() || !classes->is_array() || classes->empty() || !classes->front().is_string())
    return false;
  const auto name = classes->front().get<std::string>();
  return name.ends_with("ForConditionalGeneration") || name.ends_with("ForCausalLM");
}

}  // namespace strata::model
