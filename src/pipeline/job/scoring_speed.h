// How long it takes to come to a plan, known before it starts: the text that the model writes itself, gradients, the
// pass over the text with rounding under every codec, the groups that are measured, and the plans that are.
#pragma once
#include <string>

#include "importance/score.h"
#include "pipeline/job/request.h"

namespace strata::pipeline {

/// Seconds of the steps; 0 for one that is not taken.
struct ScoringSeconds {
  double text = 0;          ///< the model writes its own calibration text
  double gradients = 0;     ///< passes forward and backward, for fisher
  double errors = 0;        ///< the pass over the text, and rounding in every codec
  double measurements = 0;  ///< of single groups: kl, alphas
  double plans = 0;         ///< whole plans are measured: --max-kl, or a search

  double sum() const { return text + gradients + errors + measurements + plans; }
  /// "52 s: text 10 s, gradients 11 s, errors of codecs 9 s, measurements of groups 22 s".
  std::string describe() const;
};

/// needed: what is scored, by no signal where scores are given; plans are measured in its codecs. Times passes over a
/// few blocks and the rounding of a few rows on this machine, in about a second; a model of large blocks takes that of
/// three blocks. Formulas: docs/methods.md ("Estimates").
ScoringSeconds scoring_seconds(const model::Model& model, const QuantizeRequest& request,
                               const importance::ScoreRequest& needed);

}  // namespace strata::pipeline
