// Scoring: one pass over the calibration set for everything that needs activations, one look at every weight for the
// rest; each set by itself, when there are several.
#pragma once
#include <filesystem>
#include <functional>
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
  std::vector<const Signal*> signals;       ///< those to compute; an empty list asks for all that are not costly
  std::vector<const codec::Codec*> codecs;  ///< for signals of linears; a codec that cannot hold a shape is left out
  codec::ScaleFit fit = codec::ScaleFit::search;
  MeasureRequest measure;           ///< for signals that run the model; they use the codecs above when it has none
  double smoothing = 0.0;           ///< how the engine's model was smoothed, for the scores
  std::optional<Prior> prior = {};  ///< the rules of the signal prior, when not the literature's
  /// Called when an earlier run has made the pass over the first `blocks` blocks, which may be all of them.
  std::function<void(std::size_t blocks)> resumed = {};
};

struct ScoreResult {
  Scores scores;
  std::map<std::string, double> seconds;  ///< by signal; all signals of one pass have the whole pass's time
  InputMeanSquare inputs;  ///< the importances that the scores' scale search used; the quantizer uses the same
};

/// Scores a model on one calibration set. Memory: that of run_calibration, one block's weights, and Hessians of one
/// block's inputs where a signal needs them. The result does not depend on the number of threads. Throws Error for
/// weights (naming the tensor, row and column) or activations that are not finite, and Interrupted after Ctrl-C.
/// Given a journal, the pass is kept beside it, and both are left for the next run, whose result is then the same. The
/// caller removes them (remove_kept) once the result is safe. Ranks at work share the pass and the measurements, and
/// all have the result; a signal that needs Hessians has every rank make the whole pass.
ScoreResult score(engine::Engine& engine, const CalibrationSet& set, const ScoreRequest& request);

/// Scores a model on several sets one by one, and combines the scores. The journals of the second and later sets are
/// NAME.2, NAME.3 ... The inputs of the result are those of the first set.
ScoreResult score(engine::Engine& engine, std::span<const CalibrationSet> sets, const ScoreRequest& request,
                  Combine how);

/// The files that hold unfinished work for `sets` calibration sets: those that are there.
std::vector<std::filesystem::path> kept_files(const MeasureRequest& request, std::size_t sets);
/// Removes them.
void remove_kept(const MeasureRequest& request, std::size_t sets);

}  // namespace strata::importance
