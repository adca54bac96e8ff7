// The text of an evaluation: chunks of n_ctx tokens, as llama.cpp's perplexity cuts it.
// The description goes into eval.json, so that figures are never compared across texts by mistake.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/json.h"
#include "engine/engine.h"
#include "model/tokenizer.h"

namespace strata::eval {

struct EvalText {
  std::string file;  ///< as given
  std::size_t n_ctx = 0;
  std::size_t text_tokens = 0;                     ///< of the text, or of as much of it as was needed
  std::vector<std::vector<engine::Token>> chunks;  ///< each of n_ctx tokens
  std::uint64_t hash = 0;                          ///< over the chunks' tokens

  /// file, n_ctx, chunks, hash.
  json describe() const;
};

/// Fewer tokens have no position in the second half that predicts another.
inline constexpr std::size_t kSmallestContext = 4;

/// The first `max_chunks` (0: all) non-overlapping chunks of n_ctx tokens; with BOS in the place of each chunk's first
/// token when the tokenizer adds one. Throws Error for a file that is no text, one too short for a single chunk (saying
/// how many tokens it has), and UsageError for n_ctx below kSmallestContext.
EvalText read_eval_text(const model::Tokenizer& tokenizer, const std::filesystem::path& file, std::size_t n_ctx,
                        std::size_t max_chunks = 0);

}  // namespace strata::eval
