// The parts of a report that come from scores: every signal's values, and how well each agrees with the measured truth.
// ReportData holds them under "signals" and "judge".
#pragma once
#include <map>
#include <string>

#include "core/json.h"
#include "importance/scores.h"

namespace strata::pipeline {

/// A list with an entry for each signal that the scores hold. command: what a person types to score again.
json signals_part(const importance::Scores& scores, const std::string& command);

/// Every signal held against the measured kl; null when the scores have no kl, or have it of too few groups. seconds:
/// what each signal took, by name; may be empty.
json judge_part(const importance::Scores& scores, const model::Architecture& architecture,
                const std::map<std::string, double>& seconds, const std::string& command);

}  // namespace strata::pipeline
