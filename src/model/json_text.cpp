// Values are found by their brackets and parsed one by one, so a file of any size needs the memory of one value.
// A template writes the special tokens of a conversation as text, which the tokenizer turns into their ids.
#include "model/json_text.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/error.h"
#include "core/file.h"

namespace strata::model {
namespace {

constexpr std::string_view kBlank = " \t\r\n", kBetween = " \t\r\n,", kByteOrderMark = "\xEF\xBB\xBF";
constexpr const char* kExpected = R"({"text": "..."}, {"messages": [{"role": "...", "content": "..."}, ...]} or )"
                                  R"({"conversations": [{"from": "...", "value": "..."}, ...]})";

/// Names of speakers in ShareGPT's form whose role in a chat template has another name.
constexpr std::array<std::pair<std::string_view, const char*>, 5> kSpeakers = {{{"human", "user"},
                                                                                {"gpt", "assistant"},
                                                                                {"chatgpt", "assistant"},
                                                                                {"model", "assistant"},
                                                                                {"observation", "tool"}}};

std::string_view without_mark(std::string_view text) {
  return text.starts_with(kByteOrderMark) ? text.substr(kByteOrderMark.size()) : text;
}

std::string_view text_of(const MappedFile& file) {
  return without_mark({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()});
}

/// Walks over the values of a JSON text, which may be parted by spaces, line ends and commas.
class Values {
 public:
  Values(std::string_view text, std::size_t first_line, std::string file)
      : text_(text), line_(first_line), file_(std::move(file)) {}

  /// The bytes of the next value; nothing at the end of the text.
  std::optional<std::string_view> next() {
    const std::size_t begin = std::min(text_.find_first_not_of(kBetween, at_), text_.size());
    line_ += lines(at_, begin);
    at_ = begin;
    if (begin == text_.size()) return std::nullopt;
    const std::size_t end = end_of_value();
    if (end == std::string_view::npos)
      fail("{}: the JSON value that begins here does not end; expected {}", where(), kExpected);
    value_line_ = line_;
    line_ += lines(begin, end);
    at_ = end;
    return text_.substr(begin, end - begin);
  }
  /// The line in which the last value begins.
  std::size_t line() const { return value_line_; }

 private:
  std::size_t lines(std::size_t begin, std::size_t end) const {
    return static_cast<std::size_t>(std::ranges::count(text_.substr(begin, end - begin), '\n'));
  }
  std::string where() const { return fmt::format("{}: line {}", file_, line_); }

  /// Where the value at at_ ends: behind its last bracket, or at what cannot be part of a number or a word.
  std::size_t end_of_value() const {
    std::size_t depth = 0;
    bool in_string = false;
    for (std::size_t i = at_; i < text_.size(); ++i) {
      const char c = text_[i];
      if (in_string) {
        if (c == '\\') ++i;
        in_string = c != '"';
        if (!in_string && depth == 0) return i + 1;
      } else if (c == '"') {
        in_string = true;
      } else if (c == '{' || c == '[') {
        ++depth;
      } else if (c == '}' || c == ']') {
        if (depth <= 1) return i + 1;
        --depth;
      } else if (depth == 0 && i > at_ && kBetween.find(c) != std::string_view::npos) {
        return i;
      }
    }
    return in_string || depth > 0 ? std::string_view::npos : text_.size();
  }

  std::string_view text_;
  std::size_t at_ = 0, line_, value_line_ = 0;
  std::string file_;
};

/// A message as chat templates read it: ShareGPT's names become theirs, and all else stays.
json message_of(const json& value, const std::string& where) {
  if (!value.is_object()) fail("{}: a message is {}, expected an object", where, brief(value));
  json message = value;
  if (!message.contains("role") && message.contains("from")) {
    const auto speaker = get<std::string>(message, "from", where);
    const auto* const row = std::ranges::find(kSpeakers, speaker, &std::pair<std::string_view, const char*>::first);
    message = {{"role", row == kSpeakers.end() ? speaker : std::string(row->second)}};
    for (const auto& [key, item] : value.items())
      if (key != "from") message[key == "value" ? "content" : key] = item;
  }
  get<std::string>(message, "role", where);
  if (message.size() < 2) fail("{}: a message has a role, but neither 'content' nor 'tool_calls'", where);
  return message;
}

/// The tools of a conversation, which some data sets keep as the text of their JSON; null without any.
json tools_of(const json& value, const std::string& where) {
  json tools = value.value("tools", json());
  if (tools.is_string() && !tools.get_ref<const std::string&>().empty())
    tools = parse_json(tools.get_ref<const std::string&>(), where + ": 'tools'");
  else if (tools.is_string())
    tools = nullptr;
  if (!tools.is_null() &&
      (!tools.is_array() || !std::ranges::all_of(tools, [](const json& t) { return t.is_object(); })))
    fail("{}: 'tools' is {}, expected a list of objects", where, brief(tools));
  return tools;
}

bool is_message(const json& value) { return value.is_object() && (value.contains("role") || value.contains("from")); }

/// Tokens of examples one after another, and the pieces cut of them.
class Pieces {
 public:
  Pieces(const Tokenizer& tokenizer, const ChatTemplate* chat, std::size_t length, std::size_t limit)
      : tokenizer_(tokenizer), chat_(chat), length_(length), limit_(limit) {}

  bool full() const { return limit_ != 0 && result_.pieces.size() >= limit_; }
  TextPieces take() { return std::move(result_); }

  /// Adds a text or a conversation of one of the forms that json_text.h lists.
  void add(const json& value, const std::string& where) {
    if (value.is_string()) return add_text(value.get_ref<const std::string&>());
    const json messages = value.is_array() ? value : value.is_object() ? messages_of(value) : json();
    if (messages.is_array() && !messages.empty()) return add_conversation(messages, tools_of_any(value, where), where);
    const auto text = value.is_object() ? value.find("text") : value.end();
    if (!value.is_object() || text == value.end() || !text->is_string())
      fail("{}: is {}, expected {}", where, brief(value), kExpected);
    add_text(text->get_ref<const std::string&>());
  }

 private:
  static json messages_of(const json& object) {
    for (const char* key : {"messages", "conversations"})
      if (object.contains(key)) return object[key];
    return {};
  }
  static json tools_of_any(const json& value, const std::string& where) {
    return value.is_object() ? tools_of(value, where) : json();
  }

  void add_text(const std::string& text) {
    if (text.find_first_not_of(kBlank) == std::string::npos) return;
    std::vector<std::uint32_t> tokens;
    if (tokenizer_.add_bos() && tokenizer_.bos()) tokens.push_back(*tokenizer_.bos());
    const std::vector<std::uint32_t> words = tokenizer_.encode(text + "\n\n");
    tokens.insert(tokens.end(), words.begin(), words.end());
    cut(tokens, true);
  }

  void add_conversation(const json& list, const json& tools, const std::string& where) {
    json messages = json::array();
    for (const json& message : list) messages.push_back(message_of(message, where));
    if (chat_ == nullptr)
      fail("{}: is a conversation, which needs a chat template, and {} has none; give plain text", where,
           tokenizer_.where());
    std::string text;
    try {
      text = chat_->render(messages, GenerationPrompt::no, {{"tools", tools}});
    } catch (const Error& e) {
      fail("{}: {}", where, e.what());
    }
    cut(tokenizer_.encode(text), false);
  }

  /// A piece of a text begins with BOS where the tokenizer adds one, as those of text files do.
  void cut(const std::vector<std::uint32_t>& tokens, bool is_text) {
    if (rest_.empty()) rest_is_text_ = is_text;
    result_.tokens += tokens.size();
    rest_.insert(rest_.end(), tokens.begin(), tokens.end());
    std::size_t used = 0;
    for (; rest_.size() - used >= length_ && !full(); used += length_) {
      const auto first = rest_.begin() + static_cast<std::ptrdiff_t>(used);
      result_.pieces.emplace_back(first, first + static_cast<std::ptrdiff_t>(length_));
      if (rest_is_text_ && tokenizer_.add_bos() && tokenizer_.bos()) result_.pieces.back().front() = *tokenizer_.bos();
      rest_is_text_ = is_text;
    }
    rest_.erase(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(used));
  }

  const Tokenizer& tokenizer_;
  const ChatTemplate* chat_;
  std::size_t length_, limit_;
  TextPieces result_;
  std::vector<std::uint32_t> rest_;
  bool rest_is_text_ = false;  // whether the first token of rest_ is of a text
};

/// Adds the values of a text; a list that is no conversation stands for its values (`in_list`: within such a list).
void add_values(Pieces& pieces, std::string_view text, std::size_t first_line, const std::string& file, bool in_list) {
  Values values(text, first_line, file);
  while (!pieces.full()) {
    const std::optional<std::string_view> value = values.next();
    if (!value) return;
    const std::string where = fmt::format("{}: line {}", file, values.line());
    if (value->front() == '[' && !in_list) {
      if (value->back() != ']') fail("{}: the list that begins here ends with '{}'", where, value->back());
      const std::string_view inside = value->substr(1, value->size() - 2);
      const std::optional<std::string_view> first = Values(inside, values.line(), file).next();
      if (first && !is_message(first->front() == '{' ? parse_json(*first, where) : json())) {
        add_values(pieces, inside, values.line(), file, true);
        continue;
      }
    }
    check_text(*value, where);
    pieces.add(parse_json(*value, where), where);
  }
}

}  // namespace

bool is_json_text(const std::filesystem::path& file) {
  const MappedFile mapped(file);
  const std::string_view text = text_of(mapped);
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos || (text[first] != '{' && text[first] != '[')) return false;
  const std::size_t second = text.find_first_not_of(kBlank, first + 1);
  if (second == std::string_view::npos) return false;
  if (text[first] == '[' && text[second] == ']' && text.find_first_not_of(kBlank, second + 1) == std::string_view::npos)
    return true;
  return text[second] == '"' || (text[first] == '[' && (text[second] == '{' || text[second] == '['));
}

TextPieces cut_json_text(const Tokenizer& tokenizer, const ChatTemplate* chat, const std::filesystem::path& file,
                         std::size_t length, std::size_t limit) {
  STRATA_CHECK(length > 0);
  const MappedFile mapped(file);
  Pieces pieces(tokenizer, chat, length, limit);
  add_values(pieces, text_of(mapped), 1, file.string(), false);
  TextPieces result = pieces.take();
  if (result.tokens == 0) fail("{}: holds no text and no conversation; expected {}", file.string(), kExpected);
  return result;
}

}  // namespace strata::model
