// Only the beginning of a file is tokenized, and more of it as long as there are too few tokens.
// UTF-8: The Unicode Standard, table 3-7 (well-formed byte sequences).
#include "model/text.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/error.h"
#include "core/file.h"

namespace strata::model {
namespace {

using namespace std::string_view_literals;

/// How files begin that people give in place of a text file, and what they are.
constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kNoTexts{
    {{"PAR1"sv, "a Parquet file"},
     {"ARROW1"sv, "an Arrow file"},
     {"\x1F\x8B"sv, "compressed (gzip)"},
     {"BZh"sv, "compressed (bzip2)"},
     {"\xFD"
      "7zXZ"sv,
      "compressed (xz)"},
     {"\x28\xB5\x2F\xFD"sv, "compressed (zstd)"},
     {"PK\x03\x04"sv, "a ZIP archive"}}};

/// How many bytes the character at text[i] has: 0 when it is not well-formed, more than the text has left when it is
/// cut off.
std::size_t character_bytes(std::string_view text, std::size_t i) {
  const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
  const unsigned first = byte(i);
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4) return 0;
  const std::size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  // The second byte's range keeps out overlong forms, surrogates and what lies beyond U+10FFFF.
  const unsigned low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  const unsigned high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  for (std::size_t k = 1; k < length && i + k < text.size(); ++k)
    if (byte(i + k) < (k == 1 ? low : 0x80) || byte(i + k) > (k == 1 ? high : 0xBF)) return 0;
  return length;
}

/// The first `bytes` of the text, or fewer: up to the end of the last line that ends in their second half.
std::string_view beginning(std::string_view text, std::size_t bytes) {
  if (bytes >= text.size()) return text;
  const std::size_t line_end = text.substr(0, bytes).rfind('\n');
  if (line_end != std::string_view::npos && line_end >= bytes / 2) return text.substr(0, line_end + 1);
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

}  // namespace

void check_text(std::string_view text, const std::string& where, bool at_end) {
  if (text.empty()) fail("{}: is empty; give a text file", where);
  for (const auto& [magic, kind] : kNoTexts)
    if (text.starts_with(magic)) fail("{}: is {}; give the texts in it as plain text or lines of JSON", where, kind);
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == '\0') fail("{}: has a NUL byte at {}; it is not a text file", where, i);
    const std::size_t length = character_bytes(text, i);
    if (length == 0 || (length > text.size() - i && at_end))
      fail("{}: byte {} is not UTF-8; give a text file in UTF-8", where, i);
    i += length;
  }
}

TextPieces cut_text_file(const Tokenizer& tokenizer, const std::filesystem::path& file, std::size_t length,
                         std::size_t limit) {
  STRATA_CHECK(length > 0);
  // A cut may change how the words beside it are tokenized, so this many tokens at the end are not trusted.
  constexpr std::size_t margin = 256;
  constexpr std::size_t likely_bytes_per_token = 6;
  const MappedFile mapped(file);
  const std::string_view text(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
  const bool bos = tokenizer.add_bos() && tokenizer.bos();
  const std::size_t wanted =
      limit == 0 || limit > text.size() / length + 1 ? text.size() : std::min(text.size(), limit * length);

  TextPieces result;
  std::vector<std::uint32_t> tokens;
  for (std::size_t bytes = (wanted + margin) * likely_bytes_per_token;; bytes *= 2) {
    const std::string_view part = beginning(text, bytes);
    check_text(part, file.string(), part.size() == text.size());
    tokens = tokenizer.encode(part);
    if (part.size() == text.size() || tokens.size() >= wanted + margin) break;
  }
  if (bos) tokens.insert(tokens.begin(), *tokenizer.bos());
  result.tokens = tokens.size();
  for (std::size_t at = 0; at + length <= tokens.size() && (limit == 0 || result.pieces.size() < limit); at += length) {
    const auto first = tokens.begin() + static_cast<std::ptrdiff_t>(at);
    result.pieces.emplace_back(first, first + static_cast<std::ptrdiff_t>(length));
    if (bos) result.pieces.back().front() = *tokenizer.bos();
  }
  return result;
}

}  // namespace strata::model
