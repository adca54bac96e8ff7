// JSON of file headers: keys that occur twice are refused, because readers disagree on which of them counts.
// Objects are sorted maps here, so that a header of a million names is still read in one pass.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace strata::format {

/// Parses text; throws Error opened by `where` for bad syntax, a duplicate key or nesting deeper than 20 levels.
nlohmann::json parse_strict_json(std::string_view text, const std::string& where);

/// A name from a file, fit for an error message: other than printable ASCII becomes '?', long ones are cut.
std::string printable(std::string_view name);

}  // namespace strata::format
