// Text files as sequences of tokens of equal length, which evaluation and calibration run on.
// Files that are not text are refused.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "model/tokenizer.h"

namespace strata::model {

struct TextPieces {
  std::vector<std::vector<std::uint32_t>> pieces;  ///< each of exactly `length` tokens
  std::size_t tokens = 0;                          ///< how many the text has, or the part of it that was needed
};

/// Cuts the tokens of a file into pieces of `length`, one after another from its start, `limit` of them at most (0: no
/// limit); a rest shorter than `length` is left out. When the tokenizer adds a BOS token, it stands before the text and
/// in place of the first token of every piece, as in llama.cpp's perplexity. With a limit only the beginning of
/// a large file is read. Throws Error when the file cannot be read, is empty, or is not UTF-8 text (naming the byte).
TextPieces cut_text_file(const Tokenizer& tokenizer, const std::filesystem::path& file, std::size_t length,
                         std::size_t limit);

/// Throws Error "WHERE: ..." for empty text, NUL bytes and bytes that are not UTF-8. With `at_end` false the last
/// character may be cut off.
void check_text(std::string_view text, const std::string& where, bool at_end = true);

}  // namespace strata::model
