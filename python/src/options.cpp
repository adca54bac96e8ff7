// What is told of each option.
// The kinds have the names of OptionValue::Kind.
#include "options.h"

namespace strata::python {
namespace {

const char* name_of(OptionValue::Kind kind) {
  switch (kind) {
    case OptionValue::Kind::flag:
      return "flag";
    case OptionValue::Kind::one:
      return "one";
    case OptionValue::Kind::many:
      return "many";
    case OptionValue::Kind::groups:
      return "groups";
  }
  STRATA_CHECK(false, "option kind {}", static_cast<int>(kind));
  return "";
}

}  // namespace

void Lister::declare(const OptionInfo& info, const OptionValue& value) {
  listed.push_back({{"name", info.name},
                    {"key", json_key(info)},
                    {"heading", heading_},
                    {"help", info.help},
                    {"kind", name_of(value.kind)},
                    {"placeholder", value.placeholder},
                    {"default", value.get()},
                    {"values", info.values}});
}

}  // namespace strata::python
