// Calibration text as JSON, in the forms in which data sets are kept: texts, and conversations that the model's own
// chat template renders. What a file is, its content says and not its name.
#pragma once
#include <filesystem>

#include "model/chat_template.h"
#include "model/text.h"

namespace strata::model {

/// Whether a file begins as JSON does that holds texts or conversations: with `{"`, or with `[` and one of `{`, `[`
/// and `"`; spaces, line ends and a byte order mark count for nothing. Throws Error when the file cannot be read.
bool is_json_text(const std::filesystem::path& file);

/// Reads JSON values, one after another (JSON lines, or values of several lines); a list of values stands for those.
/// A value is
///   "...", {"text": "..."}                                                  a text,
///   {"messages": [{"role": "user", "content": "..."}, ...], "tools": [...]} a conversation ("tools" may be missing),
///   {"conversations": [{"from": "human", "value": "..."}, ...]}             the same as ShareGPT writes it,
///   [{"role": "user", "content": "..."}, ...]                               or without a name.
/// A message may have tool calls, or anything else that the template reads, in place of "content"; both that and lists
/// of parts reach the template as they are, as by transformers' apply_chat_template.
///
/// Texts are put one after another with an empty line between them, conversations without anything, and cut as
/// cut_text_file cuts a text, into `limit` pieces at most (0: no limit); values that are not needed for these are not
/// read. When the tokenizer adds a BOS token, it stands before every text and in place of the first token of a piece of
/// a text; conversations have what the template writes. Throws Error naming file and line for a value that is none of
/// these or that the template refuses, for a conversation without a template (chat: nullptr), and for a file without
/// any.
TextPieces cut_json_text(const Tokenizer& tokenizer, const ChatTemplate* chat, const std::filesystem::path& file,
                         std::size_t length, std::size_t limit);

}  // namespace strata::model
