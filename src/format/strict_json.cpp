// Two passes: the first walks the text with one set of keys a level and finds duplicates, depth and bad syntax,
// the second builds the value. (The library's callback for one pass takes quadratic time in the size of an object.)
#include "format/strict_json.h"

#include <set>
#include <vector>

#include "core/error.h"

namespace strata::format {
namespace {

using nlohmann::json;
constexpr std::size_t kMaxDepth = 20;

/// Accepts every value and looks only at keys and nesting.
class Checker : public nlohmann::json_sax<json> {
 public:
  explicit Checker(const std::string& where) : where_(where) {}

  bool start_object(std::size_t) override { return descend(); }
  bool start_array(std::size_t) override { return descend(); }
  bool end_object() override { return ascend(); }
  bool end_array() override { return ascend(); }
  bool key(string_t& name) override {
    if (!keys_.back().insert(name).second) fail("{}: the key '{}' occurs twice", where_, printable(name));
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) override {
    const std::string what = error.what();
    const auto bracket = what.find("] ");
    fail("{}: not valid JSON: {}", where_, printable(bracket == std::string::npos ? what : what.substr(bracket + 2)));
  }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }

 private:
  bool descend() {
    if (keys_.size() == kMaxDepth) fail("{}: JSON nested deeper than {} levels", where_, kMaxDepth);
    keys_.emplace_back();
    return true;
  }
  bool ascend() {
    keys_.pop_back();
    return true;
  }

  const std::string& where_;
  std::vector<std::set<std::string, std::less<>>> keys_;  ///< of the objects that are open; empty for arrays
};

}  // namespace

nlohmann::json parse_strict_json(std::string_view text, const std::string& where) {
  Checker checker(where);
  json::sax_parse(text, &checker);
  return json::parse(text);
}

std::string printable(std::string_view name) {
  constexpr std::size_t limit = 200;
  std::string text(name.substr(0, limit));
  for (char& c : text)
    if (c < ' ' || c > '~') c = '?';
  return name.size() > limit ? text + "..." : text;
}

}  // namespace strata::format
