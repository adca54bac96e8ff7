// JSON files: nlohmann-json with our errors. Parsing is bounded in depth, so hostile nesting cannot exhaust the stack.
// Accessors name the file and the key when something is missing or of the wrong type.
#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "core/error.h"

namespace strata {

using json = nlohmann::ordered_json;

/// Parses text; `where` (a path) opens the error's sentence. Refuses nesting deeper than 200.
json parse_json(std::string_view text, const std::string& where);
json read_json_file(const std::filesystem::path& path);
/// Pretty-printed with two spaces and a final newline, written atomically.
void write_json_file(const std::filesystem::path& path, const json& value);

/// The value as text for a message, cut when long.
std::string brief(const json& value);

/// object[key] as T; throws Error "WHERE: KEY: ..." when absent, of another type, or out of T's range.
template <class T>
T get(const json& object, const char* key, const std::string& where) {
  const auto it = object.find(key);
  if (it == object.end()) fail("{}: '{}' is missing", where, key);
  try {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      const bool negative =
          it->is_number_integer() && !it->is_number_unsigned() && it->template get<std::int64_t>() < 0;
      if (!it->is_number_integer() || (std::is_unsigned_v<T> && negative))
        fail("{}: '{}' is {}, expected a{} integer", where, key, brief(*it),
             std::is_unsigned_v<T> ? " non-negative" : "n");
      const bool fits = negative ? std::in_range<T>(it->template get<std::int64_t>())
                                 : std::in_range<T>(it->template get<std::uint64_t>());
      if (!fits) fail("{}: '{}' is {}, which is out of range", where, key, brief(*it));
    } else if constexpr (std::is_floating_point_v<T>) {
      if (!it->is_number()) fail("{}: '{}' is {}, expected a number", where, key, brief(*it));
    }
    return it->template get<T>();
  } catch (const nlohmann::json::exception&) {
    fail("{}: '{}' is {}, which is of the wrong type", where, key, brief(*it));
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
