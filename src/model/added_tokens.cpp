// Reads what tokenizer_config.json, special_tokens_map.json and added_tokens.json say about added tokens.
// Fine-tuned models often leave tokenizer.json as it was and declare their tokens in one of these.
#include "model/added_tokens.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

namespace strata::model {
namespace {

/// transformers 5 calls "extra" what was "additional" before.
constexpr std::array<const char*, 2> kExtraKeys = {"extra_special_tokens", "additional_special_tokens"};

/// `value`: a text, or an object with "content" and the flags that differ from their defaults. Nothing for anything
/// else.
std::optional<json> token_of(const json& value, bool special) {
  const json object = value.is_string() ? json{{"content", value}} : value;
  if (!object.is_object() || !object.contains("content") || !object["content"].is_string()) return std::nullopt;
  const auto flag = [&](const char* key, bool otherwise) {
    const auto it = object.find(key);
    return it != object.end() && it->is_boolean() ? it->get<bool>() : otherwise;
  };
  return json{{"content", object["content"]},
              {"single_word", flag("single_word", false)},
              {"lstrip", flag("lstrip", false)},
              {"rstrip", flag("rstrip", false)},
              {"normalized", flag("normalized", !special)},
              {"special", special}};
}

/// An id that is a key of an object, or a value.
std::uint32_t id_of(const json& value, std::string_view entry, const std::string& where) {
  std::uint32_t id = 0;
  const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size())
    fail("{}: '{}' has the id {}, expected a number from 0 to {}", where, entry, brief(value), UINT32_MAX);
  return id;
}

json in_order(const std::map<std::uint32_t, json>& by_id) {
  json list = json::array();
  for (const auto& [id, token] : by_id) list.push_back(token);
  return list;
}

/// added_tokens_decoder: {"32000": {"content": "<|im_end|>", "special": true, ...}}.
json listed_by_id(const json& decoder, const std::string& where) {
  if (!decoder.is_object()) fail("{}: is {}, expected an object of tokens by their ids", where, brief(decoder));
  std::map<std::uint32_t, json> by_id;
  for (const auto& [key, value] : decoder.items()) {
    const bool special = value.is_object() && value.value("special", json()) == true;
    const auto token = value.is_object() ? token_of(value, special) : std::nullopt;
    if (!token) fail("{}: '{}' is {}, expected an object with the text 'content'", where, key, brief(value));
    by_id[id_of(key, key, where)] = *token;
  }
  return in_order(by_id);
}

/// added_tokens.json: {"<|im_end|>": 32000}.
json listed_by_text(const json& ids, const json& named, const std::string& where) {
  std::set<std::string> special;
  for (const json& token : named) special.insert(token["content"].get<std::string>());
  std::map<std::uint32_t, json> by_id;
  for (const auto& [text, id] : ids.items()) by_id[id_of(id, text, where)] = *token_of(text, special.contains(text));
  return in_order(by_id);
}

void add_extra(const json& value, json& named) {
  if (value.is_array() || value.is_object())
    for (const json& token : value)
      if (auto extra = token_of(token, true)) named.push_back(std::move(*extra));
}

json named_tokens(const json& config, const json& map) {
  json named = json::array();
  const auto add = [&](const json& value) {
    auto token = token_of(value, true);
    if (token) named.push_back(std::move(*token));
    return token.has_value();
  };
  for (const char* key : kSpecialNames)
    if (!add(config.value(key, json()))) add(map.value(key, json()));
  for (const json& file : {config, map})
    for (const auto& [key, value] : file.items())
      if (key.ends_with("_token") && std::ranges::find(kSpecialNames, key) == kSpecialNames.end()) add(value);
  for (const json& file : {config, map})
    for (const char* key : kExtraKeys) add_extra(file.value(key, json()), named);
  return named;
}

}  // namespace

DeclaredTokens declared_tokens(const NamedTexts& files, const std::string& where) {
  const json config = parse_named(files, "tokenizer_config.json", where);
  DeclaredTokens declared;
  declared.named = named_tokens(config, parse_named(files, "special_tokens_map.json", where));
  // With added_tokens_decoder, which lists all added tokens, transformers does not read added_tokens.json.
  const auto decoder = config.find("added_tokens_decoder");
  declared.listed_replace = decoder != config.end() && !decoder->is_null();
  if (declared.listed_replace)
    declared.listed = listed_by_id(*decoder, where + ": tokenizer_config.json: added_tokens_decoder");
  else
    declared.listed =
        listed_by_text(parse_named(files, "added_tokens.json", where), declared.named, where + ": added_tokens.json");
  return declared;
}

}  // namespace strata::model
