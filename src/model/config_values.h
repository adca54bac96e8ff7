// Checked numbers of config.json: sizes that can be allocated, and factors that can be multiplied with.
// `where` names the file in every error.
#pragma once
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "core/json.h"

namespace strata::model {

inline constexpr std::size_t kLargestSize = std::size_t{1} << 24;
inline constexpr std::size_t kMostBlocks = 10000;
inline constexpr std::size_t kLongestKernel = 64;  ///< tokens that a convolution may see

inline bool has_value(const json& config, const char* key) { return config.contains(key) && !config[key].is_null(); }

/// A list with a name for every block, such as layer_types; empty when the key is missing, null, or an empty list.
inline std::vector<std::string> names_by_block(const json& config, const char* key, std::size_t blocks,
                                               const std::string& where) {
  auto names = get_or<std::vector<std::string>>(config, key, {}, where);
  if (!names.empty() && names.size() != blocks)
    fail("{}: '{}' has {} entries for {} blocks", where, key, names.size(), blocks);
  return names;
}

/// A size from 1 to kLargestSize. Throws Error when the key is missing or its value is another.
inline std::size_t size_of(const json& config, const char* key, const std::string& where) {
  const auto value = get<std::uint64_t>(config, key, where);
  if (value == 0 || value > kLargestSize) fail("{}: '{}' is {}, expected 1 to {}", where, key, value, kLargestSize);
  return value;
}

/// A size from 1 to kLargestSize, or `fallback` when the key is missing or null.
inline std::size_t size_or(const json& config, const char* key, std::size_t fallback, const std::string& where) {
  const auto it = config.find(key);
  return it == config.end() || it->is_null() ? fallback : size_of(config, key, where);
}

/// A finite number above 0, or `fallback` when the key is missing. Throws Error for any other value.
inline double positive(const json& object, const char* key, double fallback, const std::string& where) {
  const auto value = get_or<double>(object, key, fallback, where);
  if (!(value > 0) || !std::isfinite(value)) fail("{}: '{}' is {}, expected a positive number", where, key, value);
  return value;
}

}  // namespace strata::model
