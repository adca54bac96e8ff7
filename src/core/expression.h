// Regular expressions from users and their files.
#pragma once
#include <regex>
#include <string>

namespace strata {

/// Throws Error "WHERE 'TEXT': not a regular expression ...", and for one of more than 1,000 characters.
std::regex compile_regex(const std::string& text, const std::string& where);

}  // namespace strata
