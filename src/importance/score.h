// Scoring: one pass over the calibration set for everything that needs activations, one look at every weight for the
// rest.
#pragma once
#include <vector>

#include "engine/engine.h"
#include "importance/input_mean_square.h"
#include "importance/scores.h"

namespace strata::importance {

struct ScoreRequest {
  std::vector<const Signal*> signals;       ///< empty: all
  std::vector<const codec::Codec*> codecs;  ///< for signals of linears; those that cannot hold a shape are left out
  codec::ScaleFit fit = codec::ScaleFit::search;
};

struct ScoreResult {
  Scores scores;
  InputMeanSquare inputs;  ///< the importances that the scores' scale search used; the quantizer uses the same
};

/// Memory: that of run_calibration, and one block's weights. The same result for any number of threads. Throws Error
/// for weights (naming the tensor, row and column) or activations that are not finite, and Interrupted after Ctrl-C.
ScoreResult score(engine::Engine& engine, const CalibrationSet& set, const ScoreRequest& request);

}  // namespace strata::importance
