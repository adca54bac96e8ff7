// Parsing with a depth limit, and atomic writing.
// The library's own message carries the position of a syntax error.
#include "core/json.h"

#include <algorithm>
#include <array>

#include "core/file.h"

namespace strata {
namespace {

constexpr std::array<std::string_view, 3> kPythonFloats = {"-Infinity", "Infinity", "NaN"};

void check_depth(std::string_view text, const std::string& where) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > 200) fail("{}: JSON nested deeper than 200 levels at byte {}", where, i);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
}

/// Python writes numbers that JSON does not have as Infinity, -Infinity and NaN (mamba's `time_step_limit` in
/// config.json). They become what transformers 5 writes for them, and reads: {"__float__": "Infinity"}.
std::string with_tagged_floats(std::string_view text) {
  std::string result;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!in_string) {
      const std::string_view rest = text.substr(i);
      const auto* name = std::ranges::find_if(kPythonFloats, [&](auto n) { return rest.starts_with(n); });
      if (name != kPythonFloats.end()) {
        result.append("{\"__float__\": \"").append(*name).append("\"}");
        i += name->size() - 1;
        continue;
      }
    }
    result += text[i];
    if (text[i] == '"') in_string = !in_string;
    if (in_string && text[i] == '\\' && i + 1 < text.size()) result += text[++i];
  }
  return result;
}

bool has_python_floats(std::string_view text) {
  return std::ranges::any_of(kPythonFloats, [&](auto name) { return text.find(name) != text.npos; });
}

}  // namespace

json parse_json(std::string_view text, const std::string& where) {
  check_depth(text, where);
  try {
    return has_python_floats(text) ? json::parse(with_tagged_floats(text)) : json::parse(text);
  } catch (const nlohmann::json::exception& e) {
    const std::string what = e.what();
    const auto bracket = what.find("] ");
    fail("{}: not valid JSON: {}", where, bracket == std::string::npos ? what : what.substr(bracket + 2));
  }
}

json read_json_file(const std::filesystem::path& path) { return parse_json(read_text_file(path), path.string()); }

std::string brief(const json& value) {
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  constexpr std::size_t limit = 100;
  return text.size() > limit ? text.substr(0, limit) + "..." : text;
}

std::string json_text(const json& value, int indent) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

void write_json_file(const std::filesystem::path& path, const json& value) {
  write_text_file(path, json_text(value, 2) + "\n");
}

}  // namespace strata
