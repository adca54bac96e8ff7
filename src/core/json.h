// JSON files: nlohmann-json with our errors. Parsing is bounded in depth, so hostile nesting cannot exhaust the stack.
// Accessors name the file and the key when something is missing or of the wrong type.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"

namespace strata {

using json = nlohmann::ordered_json;

/// Parses text; `where` (a path) opens the error's sentence. Refuses nesting deeper than 200.
json parse_json(std::string_view text, const std::string& where);
json read_json_file(const std::filesystem::path& path);
/// Pretty-printed with two spaces and a final newline, written atomically.
void write_json_file(const std::filesystem::path& path, const json& value);

/// object[key] as T; throws Error "WHERE: KEY: ..." when absent or of another type.
template <class T>
T get(const json& object, const char* key, const std::string& where) {
  const auto it = object.find(key);
  if (it == object.end()) fail("{}: '{}' is missing", where, key);
  try {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      if (!it->is_number_integer() || (std::is_unsigned_v<T> && it->is_number_integer() && !it->is_number_unsigned()))
        fail("{}: '{}' is {}, expected a{} integer", where, key, it->dump(),
             std::is_unsigned_v<T> ? " non-negative" : "n");
    }
    return it->template get<T>();
  } catch (const nlohmann::json::exception&) {
    fail("{}: '{}' is {}, which is of the wrong type", where, key, it->dump());
  }
}

/// As get, but absent or null gives `fallback`.
template <class T>
T get_or(const json& object, const char* key, T fallback, const std::string& where) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return fallback;
  return get<T>(object, key, where);
}

}  // namespace strata
