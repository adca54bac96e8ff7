// Scoring: one pass over the calibration set for everything that needs activations, one look at every weight for the
// rest.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "importance/input_mean_square.h"
#include "importance/scores.h"

namespace strata::importance {

struct ScoreRequest {
  std::vector<const Signal*> signals;       ///< empty: all that are not costly
  std::vector<const codec::Codec*> codecs;  ///< for signals of linears; those that cannot hold a shape are left out
  codec::ScaleFit fit = codec::ScaleFit::search;
  MeasureRequest measure;  ///< for signals of choices; without codecs in it, those above
};

struct ScoreResult {
  Scores scores;
  std::map<std::string, double> seconds;  ///< by signal; those of one pass have the pass's time each
  InputMeanSquare inputs;  ///< the importances that the scores' scale search used; the quantizer uses the same
};

/// Memory: that of run_calibration, and one block's weights. The same result for any number of threads. Throws Error
/// for weights (naming the tensor, row and column) or activations that are not finite, and Interrupted after Ctrl-C.
ScoreResult score(engine::Engine& engine, const CalibrationSet& set, const ScoreRequest& request);

}  // namespace strata::importance
