// Scoring: one pass over the calibration set for everything that needs activations, one look at every weight for the
// rest; each set by itself, when there are several.
#pragma once
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "importance/linear_inputs.h"
#include "importance/scores.h"
#include "importance/signals/prior.h"

namespace strata::importance {

struct ScoreRequest {
  std::vector<const Signal*> signals;       ///< empty: all that are not costly
  std::vector<const codec::Codec*> codecs;  ///< for signals of linears; those that cannot hold a shape are left out
  codec::ScaleFit fit = codec::ScaleFit::search;
  MeasureRequest measure;           ///< for signals that run the model; without codecs in it, those above
  std::optional<Prior> prior = {};  ///< none: the literature's
};

struct ScoreResult {
  Scores scores;
  std::map<std::string, double> seconds;  ///< by signal; those of one pass have the pass's time each
  InputMeanSquare inputs;  ///< the importances that the scores' scale search used; the quantizer uses the same
};

/// Memory: that of run_calibration, one block's weights, and Hessians of one block's inputs where a signal needs them.
/// The same result for any number of threads. Throws Error for weights (naming the tensor, row and column) or
/// activations that are not finite, and Interrupted after Ctrl-C.
ScoreResult score(engine::Engine& engine, const CalibrationSet& set, const ScoreRequest& request);

/// Several sets, scored one by one and combined; journals of the second and later ones are NAME.2, NAME.3 ... The
/// inputs are those of the first set.
ScoreResult score(engine::Engine& engine, std::span<const CalibrationSet> sets, const ScoreRequest& request,
                  Combine how);

/// The journal of set `index` of a request.
std::filesystem::path journal_of(const MeasureRequest& request, std::size_t index);

}  // namespace strata::importance
