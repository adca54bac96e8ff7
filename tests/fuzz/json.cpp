// Fuzzes parse_json and the typed accessors: any text gives a value or Error, at any nesting.
// Accessors are asked for keys of every type of the first object.
#include "core/json.h"

#include <cstdint>

using namespace strata;

namespace {

template <class T>
void ask(const json& object, const std::string& key) {
  try {
    (void)get_or<T>(object, key.c_str(), T{}, "input");
  } catch (const Error&) {
    return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  json value;
  try {
    value = parse_json({reinterpret_cast<const char*>(data), size}, "input");
  } catch (const Error&) {
    return 0;
  }
  if (!value.is_object()) return 0;
  for (const auto& [key, item] : value.items()) {
    ask<int>(value, key);
    ask<std::uint64_t>(value, key);
    ask<float>(value, key);
    ask<bool>(value, key);
    ask<std::string>(value, key);
    ask<std::vector<int>>(value, key);
  }
  return 0;
}
