// The template writes the special tokens of a conversation as text, which the tokenizer turns into their ids.
// Empty lines are allowed; everything else must be a conversation.
#include "model/conversations.h"

#include "core/error.h"
#include "core/file.h"

namespace strata::model {
namespace {

json messages_of(std::string_view line, const std::string& where) {
  check_text(line, where);
  const json value = parse_json(line, where);
  if (!value.is_object()) fail("{}: is no object; expected {{\"messages\": [...]}}", where);
  const auto it = value.find("messages");
  if (it == value.end() || !it->is_array() || it->empty())
    fail("{}: has no list 'messages'; expected {{\"messages\": [{{\"role\": ..., \"content\": ...}}, ...]}}", where);
  for (const json& message : *it) {
    if (!message.is_object()) fail("{}: a message is {}, expected an object", where, brief(message));
    get<std::string>(message, "role", where);
    if (!message.contains("content")) fail("{}: a message has no 'content'", where);
  }
  return *it;
}

std::string rendered(const ChatTemplate& chat, const json& messages, const std::string& where) {
  try {
    return chat.render(messages, GenerationPrompt::no);
  } catch (const Error& e) {
    fail("{}: {}", where, e.what());
  }
}

}  // namespace

bool is_conversations_file(const std::filesystem::path& file) { return file.extension() == ".jsonl"; }

TextPieces cut_conversations(const Tokenizer& tokenizer, const ChatTemplate& chat, const std::filesystem::path& file,
                             std::size_t length, std::size_t limit) {
  STRATA_CHECK(length > 0);
  const MappedFile mapped(file);
  const std::string_view text(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
  TextPieces result;
  std::vector<std::uint32_t> rest;
  std::size_t line = 1;
  for (std::size_t begin = 0; begin < text.size() && (limit == 0 || result.pieces.size() < limit); ++line) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view entry = text.substr(begin, end - begin);
    begin = end + 1;
    if (entry.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("{}: line {}", file.string(), line);
    const std::vector<std::uint32_t> tokens = tokenizer.encode(rendered(chat, messages_of(entry, where), where));
    result.tokens += tokens.size();
    rest.insert(rest.end(), tokens.begin(), tokens.end());
    std::size_t used = 0;
    for (; rest.size() - used >= length && (limit == 0 || result.pieces.size() < limit); used += length) {
      const auto first = rest.begin() + static_cast<std::ptrdiff_t>(used);
      result.pieces.emplace_back(first, first + static_cast<std::ptrdiff_t>(length));
    }
    rest.erase(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(used));
  }
  if (result.tokens == 0) fail("{}: holds no conversation; give one {{\"messages\": [...]}} a line", file.string());
  return result;
}

}  // namespace strata::model
