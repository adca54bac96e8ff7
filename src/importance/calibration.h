// The calibration set: the tokens that statistics of activations are made from, and their source, which is files of the
// user or text that the model writes itself.
#pragma once
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/options.h"
#include "core/ranks.h"
#include "engine/engine.h"
#include "model/chat_template.h"
#include "model/tokenizer.h"

namespace strata::importance {

/// Where the tokens of a set came from. Scores are comparable only when theirs are equal, so scores.json holds it.
struct CalibrationSource {
  std::vector<std::string> files;  ///< as given by the user; empty when the model wrote the text itself
  std::uint64_t seed = 0;          ///< the seed of the text that the model wrote
  std::size_t samples = 0, seq_len = 0;
  std::uint64_t hash = 0;  ///< over all tokens

  json to_json() const;
  /// What says which tokens these are, wherever they came from: journals hold it, so that work can be resumed with the
  /// same text by another path.
  json identity() const;
  /// Reads what to_json() wrote. Throws Error naming `where` and the key.
  static CalibrationSource from_json(const json& value, const std::string& where);
  /// "32 x 512 tokens of wiki.txt", "32 x 512 tokens that the model wrote (seed 0)".
  std::string text() const;
};

struct CalibrationSet {
  std::vector<std::vector<engine::Token>> sequences;  ///< at least one, each of source.seq_len tokens
  CalibrationSource source;
};

/// The first `samples` pieces of seq_len tokens from the start of the files, in their order; pieces do not cross files.
/// There are fewer when the files have no more (source.samples says how many). Throws Error when there is none, and for
/// a file that is no text.
/// Files may be JSON (model/json_text.h), whose conversations need the model's chat template.
CalibrationSet calibration_from_files(const model::Tokenizer& tokenizer, std::span<const std::filesystem::path> files,
                                      std::size_t samples, std::size_t seq_len,
                                      const model::ChatTemplate* chat = nullptr);

/// Text sampled from the model at temperature 1, beginning with BOS (or else the first end-of-text token; Error when
/// the tokenizer has neither). The same seed gives the same text.
CalibrationSet calibration_from_model(engine::Engine& engine, const model::Tokenizer& tokenizer, std::size_t samples,
                                      std::size_t seq_len, std::uint64_t seed);

/// A set of given tokens, for tests and for callers with a tokenizer of their own. Throws Error for no sequences,
/// unequal lengths, and fewer than 2 tokens each.
CalibrationSet calibration_from_tokens(std::vector<std::vector<engine::Token>> sequences, CalibrationSource source);

/// Sequences of a text, and tokens of each.
struct TextSize {
  std::size_t samples, seq_len;
};

/// Every rank gets the set that the first one has.
void share(const Ranks& ranks, CalibrationSet& set);

/// What a user asks a calibration text to be.
struct CalibrationRequest {
  /// A list of files for every text: texts count separately. Empty: the model writes its own.
  std::vector<std::vector<std::filesystem::path>> texts = {};
  std::optional<std::size_t> samples = {}, seq_len = {};  ///< unset: those of `defaults`, which the work decides
  std::uint64_t seed = 0;                                 ///< of the model's own text
  TextSize defaults{32, 128};
  std::size_t most_tokens = std::numeric_limits<std::size_t>::max();  ///< of a sequence that the model can read

  TextSize size() const {
    return {samples.value_or(defaults.samples), seq_len.value_or(std::min(defaults.seq_len, most_tokens))};
  }
  /// Sets most_tokens. Throws UsageError when seq_len is more.
  void fit(const model::Architecture& architecture);
  /// The files of all texts, in order.
  std::vector<std::filesystem::path> files() const;
};
void visit(CalibrationRequest& request, OptionVisitor& visitor);

/// One set. Several texts have equal shares of its samples, in turn. Throws Error as the functions above.
CalibrationSet make_calibration(engine::Engine& engine, const model::Tokenizer& tokenizer,
                                const CalibrationRequest& request);

/// A set for each text, of `samples` sequences each.
std::vector<CalibrationSet> make_calibrations(engine::Engine& engine, const model::Tokenizer& tokenizer,
                                              const CalibrationRequest& request);

}  // namespace strata::importance
