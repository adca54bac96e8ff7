// JSON files: nlohmann-json with our errors. Parsing is bounded in depth, so hostile nesting cannot exhaust the stack.
// Accessors name the file and the key when something is missing or of the wrong type.
#pragma once
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/error.h"

namespace strata {

using json = nlohmann::ordered_json;

/// Parses text; `where` (a path) opens the error's sentence. Refuses nesting deeper than 200.
json parse_json(std::string_view text, const std::string& where);
json read_json_file(const std::filesystem::path& path);
/// One line, or lines with so many spaces before what is inside. Bytes that are no UTF-8, which
/// names of files may hold, become U+FFFD.
std::string json_text(const json& value, int indent = -1);
/// Pretty-printed with two spaces and a final newline, written atomically.
void write_json_file(const std::filesystem::path& path, const json& value);

template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;

/// A value as text for a message, cut when it is long.
std::string brief(const json& value);

/// `value` as T; the library's own conversions are unchecked (a number out of an integer's range is undefined
/// behaviour), so every number is checked here, those in arrays too. Throws Error "WHERE: 'KEY' is ...".
template <class T>
T convert(const json& value, const char* key, const std::string& where) {
  if constexpr (std::is_same_v<T, bool>) {
    if (!value.is_boolean()) fail("{}: '{}' is {}, expected true or false", where, key, brief(value));
    return value.get<bool>();
  } else if constexpr (std::is_integral_v<T>) {
    const bool negative =
        value.is_number_integer() && !value.is_number_unsigned() && value.template get<std::int64_t>() < 0;
    if (!value.is_number_integer() || (std::is_unsigned_v<T> && negative))
      fail("{}: '{}' is {}, expected a{} integer", where, key, brief(value),
           std::is_unsigned_v<T> ? " non-negative" : "n");
    const bool fits = negative ? std::in_range<T>(value.template get<std::int64_t>())
                               : std::in_range<T>(value.template get<std::uint64_t>());
    if (!fits) fail("{}: '{}' is {}, which is out of range", where, key, brief(value));
    return value.template get<T>();
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!value.is_number()) fail("{}: '{}' is {}, expected a number", where, key, brief(value));
    const double number = value.template get<double>();
    if (std::abs(number) > static_cast<double>(std::numeric_limits<T>::max()))
      fail("{}: '{}' is {}, which is out of range", where, key, brief(value));
    return static_cast<T>(number);
  } else if constexpr (is_vector<T>) {
    if (!value.is_array()) fail("{}: '{}' is {}, expected an array", where, key, brief(value));
    T result;
    for (const json& item : value) result.push_back(convert<typename T::value_type>(item, key, where));
    return result;
  } else {
    static_assert(std::is_same_v<T, std::string> || std::is_same_v<T, json>);
    if constexpr (std::is_same_v<T, std::string>)
      if (!value.is_string()) fail("{}: '{}' is {}, expected a text", where, key, brief(value));
    return value.template get<T>();
  }
}

/// object[key] as T; throws Error "WHERE: 'KEY' ..." when absent, of another type, or out of T's range.
template <class T>
T get(const json& object, const char* key, const std::string& where) {
  const auto it = object.find(key);
  if (it == object.end()) fail("{}: '{}' is missing", where, key);
  return convert<T>(*it, key, where);
}

/// object[key] as T, or `fallback` when it is absent or null; throws Error as get does.
template <class T>
T get_or(const json& object, const char* key, T fallback, const std::string& where) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return fallback;
  return get<T>(object, key, where);
}

}  // namespace strata
