// Conversations as calibration text: a file of JSON lines {"messages": [{"role", "content"}, ...]}, each rendered by
// the model's own chat template.
#pragma once
#include <filesystem>

#include "model/chat_template.h"
#include "model/text.h"

namespace strata::model {

/// Whether a file's name ends in .jsonl.
bool is_conversations_file(const std::filesystem::path& file);

/// Puts conversations one after another and cuts them as cut_text_file cuts a text, into `limit` pieces at most (0: no
/// limit); lines that are not needed for these are not read. Throws Error naming file and line for a line that is not
/// such an object or that the template refuses, and for a file without any.
TextPieces cut_conversations(const Tokenizer& tokenizer, const ChatTemplate& chat, const std::filesystem::path& file,
                             std::size_t length, std::size_t limit);

}  // namespace strata::model
