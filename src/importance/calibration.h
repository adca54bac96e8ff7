// The calibration set: the tokens that statistics of activations come from, and where they came from.
// Files given by the user, or text that the model writes itself.
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/json.h"
#include "engine/engine.h"
#include "model/chat_template.h"
#include "model/tokenizer.h"

namespace strata::importance {

/// What a score is only comparable under: goes into scores.json.
struct CalibrationSource {
  std::vector<std::string> files;  ///< as given; empty: written by the model itself
  std::uint64_t seed = 0;          ///< of the model's own text
  std::size_t samples = 0, seq_len = 0;
  std::uint64_t hash = 0;  ///< over all tokens

  json to_json() const;
  /// Which tokens they are, wherever they came from. Journals hold this, so that work on a text resumes when the text
  /// is read by another path.
  json identity() const;
  /// Throws Error naming `where` and the key.
  static CalibrationSource from_json(const json& value, const std::string& where);
  /// "32 x 512 tokens of wiki.txt", "32 x 512 tokens that the model wrote (seed 0)".
  std::string text() const;
};

struct CalibrationSet {
  std::vector<std::vector<engine::Token>> sequences;  ///< at least one, each of source.seq_len tokens
  CalibrationSource source;
};

/// The first `samples` pieces of seq_len tokens from the start of the files, in their order; pieces do not cross files.
/// Fewer when the files have no more (source.samples says how many); Error when there is none, or a file is no text.
/// Names that end in .jsonl are conversations (model/conversations.h), which need the model's chat template.
CalibrationSet calibration_from_files(const model::Tokenizer& tokenizer, std::span<const std::filesystem::path> files,
                                      std::size_t samples, std::size_t seq_len,
                                      const model::ChatTemplate* chat = nullptr);

/// Text sampled from the model at temperature 1, beginning with BOS (or else the first end-of-text token; Error when
/// the tokenizer has neither). The same seed gives the same text.
CalibrationSet calibration_from_model(engine::Engine& engine, const model::Tokenizer& tokenizer, std::size_t samples,
                                      std::size_t seq_len, std::uint64_t seed);

/// Tokens that are already there: for tests and for callers with a tokenizer of their own. Error for none, unequal
/// lengths, or fewer than 2 tokens each.
CalibrationSet calibration_from_tokens(std::vector<std::vector<engine::Token>> sequences, CalibrationSource source);

/// What a user asks a calibration text to be.
struct CalibrationRequest {
  std::vector<std::filesystem::path> files;  ///< empty: the model writes its own text
  std::size_t samples = 16, seq_len = 256;
  std::uint64_t seed = 0;  ///< of the model's own text
  /// The files by occurrence of --calib: texts that count separately. Empty: all files are one text.
  std::vector<std::vector<std::filesystem::path>> sets = {};
};

/// One set. Several texts have equal shares of its samples, in turn. Throws Error as the functions above.
CalibrationSet make_calibration(engine::Engine& engine, const model::Tokenizer& tokenizer,
                                const CalibrationRequest& request);

/// A set for each text, of `samples` sequences each.
std::vector<CalibrationSet> make_calibrations(engine::Engine& engine, const model::Tokenizer& tokenizer,
                                              const CalibrationRequest& request);

}  // namespace strata::importance
