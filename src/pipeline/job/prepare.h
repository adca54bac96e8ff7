// All that is found out before the first byte is written: a calibration text, scores, the inputs' mean squares, a plan.
// What an earlier run of the job has kept is not found out again.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "core/job_folder.h"
#include "importance/scores.h"
#include "pipeline/choose/planner.h"
#include "pipeline/job/listener.h"
#include "pipeline/job/request.h"
#include "pipeline/job/scoring_speed.h"
#include "pipeline/job/stages.h"

namespace strata::pipeline {

struct Prepared {
  PlanResult plan;
  /// The model with scaled channels, which is rounded in place of the original; nullptr: that is rounded as it is.
  std::shared_ptr<const model::Model> smoothed;
  std::vector<std::vector<float>> importance;  ///< mean squares of the inputs of every linear; empty: not needed
  std::optional<importance::CalibrationSet> calibration;  ///< set when a text was needed
  std::optional<importance::Scores> scores;               ///< set when they were made or read
  std::optional<ScoringSeconds> scoring;                  ///< what making them was estimated to take

  const model::Model& rounded(const model::Model& original) const { return smoothed ? *smoothed : original; }
};

/// The text of scores and inputs: the kept one, or else one that is made and kept.
importance::CalibrationSet calibration_text(const model::Model& model, const QuantizeRequest& request,
                                            const Stages& stages);

/// folder: where the job keeps what it finds; nullptr for a dry run, which keeps nothing and measures only what the
/// plan needs. Throws Error for a request that cannot be met (before anything is measured), and as its parts do.
Prepared prepare(const model::Model& model, const QuantizeRequest& request, JobFolder* folder, Listener& listener);

}  // namespace strata::pipeline
