// A "re:" target of a quantization_config: a regular expression from a file, matched against module names.
// Matching begins at the name's start and need not reach its end, as Python's re.match.
#pragma once
#include <memory>
#include <regex>
#include <string>

namespace strata::format {

class TargetPattern {
 public:
  /// `pattern`: without the "re:". Throws Error opened by `where` for syntax that is not understood, and for
  /// expressions too large to be matched in bounded time and memory.
  TargetPattern(std::string pattern, const std::string& where);
  bool matches(const std::string& module) const;
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::string prefix_;  ///< every name that matches begins with this; tried first, since most names do not
  std::string inside_;  ///< every name that matches has this somewhere; tried next
  std::string where_;
  std::shared_ptr<const std::regex> regex_;
};

}  // namespace strata::format
