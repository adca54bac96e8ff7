// Reads the words of options and shows their values again.
// Every error opens with the option's name and says what was expected.
#include "core/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/file.h"
#include "core/hash.h"
#include "core/suggest.h"
#include "core/units.h"

namespace strata {
namespace {

/// The single word of an option that was given once.
const std::string& word_of(const OptionInfo& info, const OptionWords& words) {
  if (words.size() != 1 || words.front().size() != 1) fail_usage("{}: give it once, with one value", info.name);
  return words.front().front();
}

std::vector<std::string> all_words(const OptionWords& words) {
  std::vector<std::string> all;
  for (const std::vector<std::string>& some : words) all.insert(all.end(), some.begin(), some.end());
  return all;
}

/// A number as a person would write it: whole ones without a point.
std::string text_of(double number) {
  return number == std::floor(number) && std::abs(number) < 1e15 ? fmt::format("{:.0f}", number)
                                                                 : fmt::format("{:g}", number);
}

std::string expected_number(const OptionInfo& info, const char* kind) {
  const std::string example = info.example.empty() ? "" : fmt::format(", such as {}", info.example);
  if (std::isinf(info.most)) return fmt::format("a {} of at least {}{}", kind, text_of(info.least), example);
  return fmt::format("a {} from {} to {}{}", kind, text_of(info.least), text_of(info.most), example);
}

void check_word(const OptionInfo& info, const std::string& word) {
  if (!info.values.empty() && std::ranges::find(info.values, word) == info.values.end())
    fail_usage("{} {}: expected one of {}{}", info.name, word, fmt::join(info.values, ", "),
               did_you_mean(word, info.values));
}

template <class T>
json json_of(const std::optional<T>& value) {
  return value ? json(*value) : json();
}

/// What identifies a file: a hash of its content, so that the same file under another name is the same.
json content_of(const std::filesystem::path& file) {
  return file.empty() ? json() : json(fmt::format("content {:016x}", fnv1a(MappedFile(file).bytes())));
}

}  // namespace

std::string json_key(const OptionInfo& info) {
  std::string key = info.name.substr(std::min(info.name.find_first_not_of('-'), info.name.size()));
  std::ranges::replace(key, '-', '_');
  return key;
}

double parse_number(const OptionInfo& info, const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value) || value < info.least ||
      value > info.most)
    fail_usage("{} {}: expected {}", info.name, text, expected_number(info, "number"));
  return value;
}

std::size_t parse_count(const OptionInfo& info, const std::string& text) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const auto number = static_cast<double>(value);
  if (error != std::errc{} || end != text.data() + text.size() || number < info.least || number > info.most)
    fail_usage("{} {}: expected {}", info.name, text, expected_number(info, "whole number"));
  return value;
}

void OptionVisitor::heading(const std::string&) {}

void OptionVisitor::text(const OptionInfo& info, std::function<void(const std::string&)> set, std::function<json()> get,
                         const char* placeholder) {
  declare(info, {OptionValue::Kind::one,
                 [info, set = std::move(set)](const OptionWords& words) {
                   const std::string& word = word_of(info, words);
                   check_word(info, word);
                   set(word);
                 },
                 std::move(get), placeholder});
}

bool OptionVisitor::check_flag(const std::string& name, const std::string& word) {
  if (word != "true" && word != "false") fail_usage("{} {}: expected true or false", name, word);
  return word == "true";
}

void OptionVisitor::flag(const OptionInfo& info, bool& value) {
  const auto set = [&value, info](const OptionWords& words) { value = check_flag(info.name, word_of(info, words)); };
  declare(info, {OptionValue::Kind::flag, set, [&value] { return json(value); }});
}

void OptionVisitor::option(const OptionInfo& info, std::size_t& value) {
  text(
      info, [&value, info](const std::string& word) { value = parse_count(info, word); },
      [&value] { return json(value); }, "N");
}
void OptionVisitor::option(const OptionInfo& info, double& value) {
  text(
      info, [&value, info](const std::string& word) { value = parse_number(info, word); },
      [&value] { return json(value); }, "NUMBER");
}
void OptionVisitor::option(const OptionInfo& info, std::string& value) {
  text(
      info, [&value](const std::string& word) { value = word; },
      [&value] { return value.empty() ? json() : json(value); });
}
void OptionVisitor::option(const OptionInfo& info, std::filesystem::path& value) {
  text(
      info, [&value](const std::string& word) { value = word; },
      [&value] { return value.empty() ? json() : json(value.string()); });
}
void OptionVisitor::option(const OptionInfo& info, std::optional<std::size_t>& value) {
  text(
      info, [&value, info](const std::string& word) { value = parse_count(info, word); },
      [&value] { return json_of(value); }, "N");
}
void OptionVisitor::option(const OptionInfo& info, std::optional<double>& value) {
  text(
      info, [&value, info](const std::string& word) { value = parse_number(info, word); },
      [&value] { return json_of(value); }, "NUMBER");
}
void OptionVisitor::option(const OptionInfo& info, std::optional<std::string>& value) {
  text(
      info, [&value](const std::string& word) { value = word; }, [&value] { return json_of(value); });
}

void OptionVisitor::bytes(const OptionInfo& info, std::uint64_t& value) {
  text(
      info, [&value, info](const std::string& word) { value = parse_bytes(word, info.name); },
      [&value] { return value == 0 ? json() : json(value); }, "SIZE");
}
void OptionVisitor::bytes(const OptionInfo& info, std::optional<std::uint64_t>& value) {
  text(
      info, [&value, info](const std::string& word) { value = parse_bytes(word, info.name); },
      [&value] { return json_of(value); }, "SIZE");
}
void OptionVisitor::seconds(const OptionInfo& info, std::optional<double>& value) {
  text(
      info, [&value, info](const std::string& word) { value = parse_seconds(word, info.name); },
      [&value] { return json_of(value); }, "TIME");
}

void OptionVisitor::list(const OptionInfo& info, std::vector<std::string>& value) {
  declare(info, {OptionValue::Kind::many, [&value](const OptionWords& words) { value = all_words(words); },
                 [&value] { return value.empty() ? json() : json(value); }});
}

void OptionVisitor::comma_list(const OptionInfo& info, std::vector<std::string>& value, std::string_view all) {
  const auto set = [&value, all](const std::string& word) {
    value.clear();
    if (word == all) return;
    for (std::size_t at = 0; at <= word.size();) {
      const std::size_t end = std::min(word.find(',', at), word.size());
      if (end > at) value.push_back(word.substr(at, end - at));
      at = end + 1;
    }
  };
  text(
      info, set, [&value] { return value.empty() ? json() : json(value); }, "A,B");
}

void OptionVisitor::pairs(const OptionInfo& info, std::vector<std::pair<std::string, std::string>>& value,
                          const char* shape) {
  const auto set = [&value, info, shape](const OptionWords& words) {
    value.clear();
    for (const std::string& word : all_words(words)) {
      const auto equals = word.rfind('=');
      if (equals == std::string::npos || equals == 0 || equals + 1 == word.size())
        fail_usage("{} '{}': expected {}, such as {}", info.name, word, shape, info.example);
      value.emplace_back(word.substr(0, equals), word.substr(equals + 1));
    }
  };
  declare(info, {OptionValue::Kind::many, set, [&value] { return value.empty() ? json() : json(value); }, shape});
}

void OptionVisitor::file(const OptionInfo& info, std::filesystem::path& value) {
  declare(info, {OptionValue::Kind::one, [&value, info](const OptionWords& words) { value = word_of(info, words); },
                 [&value] { return value.empty() ? json() : json(value.string()); }, "FILE",
                 [&value] { return content_of(value); }});
}

void OptionVisitor::files(const OptionInfo& info, std::vector<std::vector<std::filesystem::path>>& value) {
  const auto set = [&value](const OptionWords& words) {
    value.clear();
    for (const std::vector<std::string>& names : words) value.emplace_back(names.begin(), names.end());
  };
  const auto each = [&value](const std::function<json(const std::filesystem::path&)>& of_file) {
    json sets;
    for (const auto& names : value) {
      json& set_of_names = sets.emplace_back(json::array());
      for (const auto& name : names) set_of_names.push_back(of_file(name));
    }
    return sets;
  };
  declare(info, {OptionValue::Kind::groups, set,
                 [each] { return each([](const auto& name) { return json(name.string()); }); }, "FILE",
                 [each] { return each(content_of); }});
}

void OptionVisitor::choose(const OptionInfo& info, std::function<void(int)> set, std::function<int()> get,
                           const std::vector<std::pair<std::string, int>>& words) {
  const auto show = [get = std::move(get), words] {
    const auto it = std::ranges::find(words, get(), &std::pair<std::string, int>::second);
    return it == words.end() ? json() : json(it->first);
  };
  const auto read = [set = std::move(set), words](const std::string& word) {
    set(std::ranges::find(words, word, &std::pair<std::string, int>::first)->second);
  };
  text(info, read, show);
}

void detail::Gatherer::declare(const OptionInfo& info, const OptionValue& value) {
  if (!identity_) {
    gathered[json_key(info)] = value.get();
  } else if (info.effect == Effect::result) {
    gathered[info.name] = value.identity ? value.identity() : value.get();
  }
}

}  // namespace strata
