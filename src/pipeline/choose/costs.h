// The way from a model to the costs that planning needs: calibration set, scores, costs.
// Used by `score`, `plan` and `quantize` alike, so that each can begin where the one before ended.
#pragma once
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "importance/score.h"
#include "pipeline/plan/request.h"
#include "pipeline/plan/target.h"

namespace strata::pipeline {

struct CalibrationRequest {
  std::vector<std::filesystem::path> files;  ///< empty: the model writes its own text
  std::size_t samples = 16, seq_len = 256;
  std::uint64_t seed = 0;
  /// The files by occurrence of --calib: texts that count separately. Empty: all files are one text.
  std::vector<std::vector<std::filesystem::path>> sets = {};
};

/// One set. Several texts have equal shares of its samples, in turn.
importance::CalibrationSet make_calibration(engine::Engine& engine, const model::Tokenizer& tokenizer,
                                            const CalibrationRequest& request);

/// A set for each text, of `samples` sequences each.
std::vector<importance::CalibrationSet> make_calibrations(engine::Engine& engine, const model::Tokenizer& tokenizer,
                                                          const CalibrationRequest& request);

/// The signals that price these codecs: alpha, of each kind of grid among them.
std::vector<const importance::Signal*> price_signals(std::span<const codec::Codec* const> codecs);
/// What the cost of a linear under these codecs is made of: act_mse, and these.
std::vector<const importance::Signal*> linear_cost_signals(std::span<const codec::Codec* const> codecs);

/// What a plan by `request` has to know: signals and codecs to score.
importance::ScoreRequest scores_needed(const PlanRequest& request, const Target& target);

/// What a codec costs a linear, in nats: `kl` where its group was measured (and in proportion to the relative act_mse
/// for codecs that were not), else alpha x relative act_mse, else the latter alone. The alpha is that of the codec's
/// kind of grid; for gptq the geometric mean of it and the first kind's: error feedback corrects part of what sets
/// kinds apart (docs/results.md). Of several calibration sets, each set's costs are divided by their sum, then
/// combined, then multiplied by the mean of the sums, so that they stay nats and no set outweighs another. And every
/// block signal turned so that higher is important.
Costs costs_of(const importance::Scores& scores, const model::Architecture& architecture, Method method = Method::rtn);

}  // namespace strata::pipeline
