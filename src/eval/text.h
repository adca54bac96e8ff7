// The text of an evaluation, cut into sequences of equal length as llama.cpp's perplexity cuts it.
// Its description goes into eval.json, so that figures are never compared across texts by mistake.
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
  std::string file;  ///< path as given
  std::size_t seq_len = 0;
  std::size_t text_tokens = 0;                        ///< tokens of the text, as far as it was read
  std::vector<std::vector<engine::Token>> sequences;  ///< each has seq_len tokens
  std::uint64_t hash = 0;                             ///< over the tokens of all sequences

  /// file, samples (the number of sequences), seq_len, hash.
  json describe() const;
};

/// A shorter sequence has no position in its second half that predicts another.
inline constexpr std::size_t kShortestSequence = 4;

/// The first `samples` (0: all) pieces of seq_len tokens, one after another. Where the tokenizer adds BOS, it takes the
/// place of the first token of every piece. Throws Error for a file that is no text or that is too short for a single
/// piece (saying how many tokens it has), and UsageError for a seq_len below kShortestSequence.
EvalText read_eval_text(const model::Tokenizer& tokenizer, const std::filesystem::path& file, std::size_t seq_len,
                        std::size_t samples = 0);

/// Throws Error unless the tokens of `text` spell the same words under both tokenizers, spaces apart: only then can the
/// predictions of the two models be compared. The tokenizers' `where` name the models.
void check_same_words(const EvalText& text, const model::Tokenizer& one, const model::Tokenizer& other);

}  // namespace strata::eval
