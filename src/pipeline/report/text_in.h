// Texts inside JSON that may be damaged: what is missing or of another type reads as "".
// For parts that are only shown or compared; what must be there is read by core/json.h.
#pragma once
#include <string>

#include "core/json.h"

namespace strata::pipeline {

/// object[key], or "" unless `object` is an object and that member a text.
inline std::string text_in(const json& object, const char* key) {
  if (!object.is_object()) return "";
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

/// object[part][key] in the same way.
inline std::string text_in(const json& object, const char* part, const char* key) {
  if (!object.is_object()) return "";
  const auto it = object.find(part);
  return it == object.end() ? "" : text_in(*it, key);
}

}  // namespace strata::pipeline
