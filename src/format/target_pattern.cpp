// std::regex within limits. The library's automaton search takes time proportional to pattern times name, where its
// default backtracking takes exponential time on hostile patterns; its recursion is bounded by the size limits here.
#include "format/target_pattern.h"

#include <algorithm>
#include <cctype>
#include <cstdint>

#include "core/error.h"
#include "format/strict_json.h"

namespace strata::format {
namespace {

constexpr std::size_t kMaxPatternBytes = 500;
constexpr std::size_t kMaxModuleBytes = 1000;
constexpr std::uint64_t kMaxRepeats = 1000;

/// Counted repetitions ("x{2,40}") multiply the automaton's states: their product must stay small.
bool repeats_are_small(const std::string& pattern) {
  std::uint64_t product = 1;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '{') continue;
    std::uint64_t largest = 1;
    for (++i; i < pattern.size() && pattern[i] != '}'; ++i) {
      std::uint64_t count = 0;
      for (; i < pattern.size() && std::isdigit(static_cast<unsigned char>(pattern[i])); ++i) {
        count = count * 10 + static_cast<std::uint64_t>(pattern[i] - '0');
        if (count > kMaxRepeats) return false;
      }
      largest = std::max(largest, count);
      if (i >= pattern.size() || pattern[i] == '}') break;
    }
    product *= largest;
    if (product > kMaxRepeats) return false;
  }
  return true;
}

/// The library adds up the digits of a number (of a repetition, of a back reference) without a check.
bool numbers_are_small(const std::string& pattern) {
  std::size_t digits = 0;
  return std::ranges::none_of(pattern, [&](unsigned char c) {
    digits = std::isdigit(c) ? digits + 1 : 0;
    return digits > 9;
  });
}

/// The characters that stand for themselves at the beginning of a pattern.
std::string literal_prefix(const std::string& pattern) {
  std::string prefix;
  if (pattern.find('|') != std::string::npos) return prefix;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const auto c = static_cast<unsigned char>(pattern[i]);
    const bool escaped =
        c == '\\' && i + 1 < pattern.size() && std::ispunct(static_cast<unsigned char>(pattern[i + 1]));
    if (!escaped && !std::isalnum(c) && c != '_' && c != '-') {
      if ((c == '*' || c == '?' || c == '{') && !prefix.empty()) prefix.pop_back();  // it may be absent
      break;
    }
    prefix += escaped ? pattern[++i] : pattern[i];
  }
  return prefix;
}

/// Characters that every name matched by a pattern of the form ".*LITERAL..." has in a row.
std::string literal_inside(const std::string& pattern) {
  constexpr std::string_view anything = ".*", boundary = "\\b";
  if (!pattern.starts_with(anything) || pattern.find('|') != std::string::npos) return {};
  std::string rest = pattern.substr(anything.size());
  if (rest.starts_with(boundary)) rest.erase(0, boundary.size());
  return literal_prefix(rest);
}

/// Characters that every name matched by a pattern of the form "...(A|B)LITERAL$" ends with: what this program writes
/// for modules of several blocks.
std::string literal_ending(const std::string& pattern) {
  const std::size_t open = pattern.find('('), close = pattern.find(')');
  const bool one_choice = open < close && close != std::string::npos && pattern.rfind('(') == open &&
                          pattern.rfind(')') == close && pattern[close - 1] != '\\' && open < pattern.find('|') &&
                          (pattern.rfind('|') == std::string::npos || pattern.rfind('|') < close);
  const bool escaped_open = open > 0 && open != std::string::npos && pattern[open - 1] == '\\';
  if (!one_choice || escaped_open || pattern.find('[') != std::string::npos || !pattern.ends_with('$')) return {};
  const std::string tail = pattern.substr(close + 1, pattern.size() - close - 2), ending = literal_prefix(tail);
  const auto escapes = static_cast<std::size_t>(std::ranges::count(tail, '\\'));
  return ending.size() + escapes == tail.size() ? ending : std::string();
}

}  // namespace

TargetPattern::TargetPattern(std::string pattern, const std::string& where) : text_(std::move(pattern)), where_(where) {
  if (text_.size() > kMaxPatternBytes || !repeats_are_small(text_) || !numbers_are_small(text_))
    fail("{}: the pattern '{}' is too large; list the modules by name", where, printable(text_));
  prefix_ = literal_prefix(text_);
  inside_ = literal_inside(text_);
  if (inside_.empty()) inside_ = literal_ending(text_);
  try {
    regex_ = std::make_shared<const std::regex>(
        text_, std::regex::ECMAScript | std::regex_constants::__polynomial | std::regex::nosubs);
  } catch (const std::regex_error& e) {
    fail("{}: the pattern '{}' cannot be read: {}", where, printable(text_), e.what());
  }
}

bool TargetPattern::matches(const std::string& module) const {
  if (module.size() > kMaxModuleBytes) fail("{}: the module name '{}' is too long", where_, printable(module));
  if (!module.starts_with(prefix_) || module.find(inside_) == std::string::npos) return false;
  try {
    return std::regex_search(module, *regex_, std::regex_constants::match_continuous);
  } catch (const std::regex_error& e) {
    fail("{}: the pattern '{}' cannot be matched with '{}': {}", where_, printable(text_), printable(module), e.what());
  }
}

}  // namespace strata::format
