// The parser's callback sees each key with its depth; one set of keys a level finds the duplicates.
// Throwing from the callback is safe: the library holds no resources but its own containers.
#include "format/strict_json.h"

#include <set>
#include <vector>

#include "core/error.h"

namespace strata::format {
namespace {

using Event = nlohmann::json::parse_event_t;
constexpr int kMaxDepth = 20;

}  // namespace

nlohmann::json parse_strict_json(std::string_view text, const std::string& where) {
  std::vector<std::set<std::string, std::less<>>> keys;
  const auto on_event = [&](int depth, Event event, nlohmann::json& parsed) {
    if (depth > kMaxDepth) fail("{}: JSON nested deeper than {} levels", where, kMaxDepth);
    if (event == Event::object_start) {
      keys.emplace_back();
    } else if (event == Event::object_end) {
      keys.pop_back();
    } else if (event == Event::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys.back().insert(key).second) fail("{}: the key '{}' occurs twice", where, printable(key));
    }
    return true;
  };
  try {
    return nlohmann::json::parse(text, on_event);
  } catch (const nlohmann::json::exception& e) {
    const std::string what = e.what();
    const auto bracket = what.find("] ");
    fail("{}: not valid JSON: {}", where, printable(bracket == std::string::npos ? what : what.substr(bracket + 2)));
  }
}

std::string printable(std::string_view name) {
  constexpr std::size_t limit = 200;
  std::string text(name.substr(0, limit));
  for (char& c : text)
    if (c < ' ' || c > '~') c = '?';
  return name.size() > limit ? text + "..." : text;
}

}  // namespace strata::format
