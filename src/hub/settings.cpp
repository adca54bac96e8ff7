// The same variables, defaults and order as in huggingface_hub's constants.py and utils/_auth.py.
// A variable that is set but empty counts as not set, as it does there for most of them.
#include "hub/settings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <initializer_list>
#include <string_view>

#include "core/error.h"
#include "core/file.h"

namespace strata::hub {
namespace {

namespace fs = std::filesystem;

std::string variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::string() : value;
}

/// The value of the first variable that is set.
std::string first_of(std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (std::string value = variable(name); !value.empty()) return value;
  return {};
}

bool is_true(std::string word) {
  std::ranges::transform(word, word.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  constexpr std::array<std::string_view, 4> kTrue = {"1", "ON", "YES", "TRUE"};
  return std::ranges::find(kTrue, word) != kTrue.end();
}

bool is_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// `text` with a leading ~ and every $NAME or ${NAME} replaced; what is not set stays as it is written.
std::string expanded(std::string_view text) {
  std::string result;
  if (text.starts_with('~') && (text.size() == 1 || text[1] == '/')) {
    result = variable("HOME");
    text.remove_prefix(1);
  }
  for (std::size_t at = 0; at < text.size();) {
    const bool braces = text.substr(at).starts_with("${");
    const std::size_t begin = at + (braces ? 2 : 1);
    std::size_t end = begin;
    while (end < text.size() && is_name(text[end])) ++end;
    const bool is_variable = text[at] == '$' && end > begin && (!braces || (end < text.size() && text[end] == '}'));
    const std::string name(is_variable ? text.substr(begin, end - begin) : "");
    const std::size_t next = is_variable ? end + (braces ? 1 : 0) : at + 1;
    result +=
        is_variable && std::getenv(name.c_str()) != nullptr ? variable(name) : std::string(text.substr(at, next - at));
    at = next;
  }
  return result;
}

fs::path home() {
  if (const std::string set = variable("HF_HOME"); !set.empty()) return expanded(set);
  if (const std::string set = variable("XDG_CACHE_HOME"); !set.empty()) return fs::path(expanded(set)) / "huggingface";
  if (const std::string set = variable("HOME"); !set.empty()) return fs::path(set) / ".cache" / "huggingface";
  fail("where files of the hub are kept is not known: set HF_HOME (or HOME)");
}

/// The token of the environment, or of the file that `hf auth login` writes, without line ends and spaces around it.
std::string token_of_user() {
  if (is_true(variable("HF_HUB_DISABLE_IMPLICIT_TOKEN"))) return {};
  std::string token = first_of({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"});
  std::string from = "HF_TOKEN";
  if (token.empty()) {
    const std::string set = variable("HF_TOKEN_PATH");
    const fs::path file = set.empty() ? home() / "token" : fs::path(expanded(set));
    std::error_code code;
    if (fs::is_regular_file(file, code)) token = read_text_file(file, 1u << 16);
    from = file.string();
  }
  std::erase_if(token, [](char c) { return c == '\n' || c == '\r'; });
  const std::size_t begin = token.find_first_not_of(" \t"), end = token.find_last_not_of(" \t");
  token = begin == std::string::npos ? "" : token.substr(begin, end - begin + 1);
  if (!std::ranges::all_of(token, [](unsigned char c) { return c > 0x20 && c < 0x7F; }))
    fail("{}: holds characters that no token of the hub has; copy the token again", from);
  return token;
}

}  // namespace

std::string Settings::without_token(std::string text) const {
  if (token.empty()) return text;
  for (std::size_t at = 0; (at = text.find(token, at)) != std::string::npos; ++at) text.replace(at, token.size(), "*");
  return text;
}

Settings settings_from_environment() {
  Settings settings;
  if (const std::string set = variable("HF_ENDPOINT"); !set.empty()) settings.endpoint = set;
  while (settings.endpoint.ends_with('/')) settings.endpoint.pop_back();
  if (!settings.endpoint.starts_with("https://") && !settings.endpoint.starts_with("http://"))
    fail("HF_ENDPOINT={}: expected an address that begins with https:// (or http://)", settings.endpoint);
  if (settings.endpoint.find('@') != std::string::npos)
    fail("HF_ENDPOINT: holds a user's name or password, which would be shown in messages; set HF_TOKEN instead");
  settings.token = token_of_user();
  const std::string cache = first_of({"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"});
  settings.cache = fs::absolute(cache.empty() ? home() / "hub" : fs::path(expanded(cache))).lexically_normal();
  if (const std::string set = variable("HF_HUB_DOWNLOAD_TIMEOUT"); !set.empty()) {
    const auto [end, error] = std::from_chars(set.data(), set.data() + set.size(), settings.silence_seconds);
    if (error != std::errc() || end != set.data() + set.size() || settings.silence_seconds < 1)
      fail("HF_HUB_DOWNLOAD_TIMEOUT={}: expected whole seconds, at least 1", set);
  }
  settings.offline = is_true(first_of({"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"}));
  return settings;
}

}  // namespace strata::hub
