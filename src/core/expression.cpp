// std::regex, its errors as ours. ECMAScript's syntax, which is what the documentation promises.
#include "core/expression.h"

#include "core/error.h"

namespace strata {

std::regex compile_regex(const std::string& text, const std::string& where) {
  if (text.size() > 1000) fail("{}: the regular expression is longer than 1000 characters", where);
  try {
    return std::regex(text, std::regex::ECMAScript | std::regex::optimize);
  } catch (const std::regex_error& e) {
    fail("{} '{}': not a regular expression: {}", where, text, e.what());
  }
}

}  // namespace strata
