// The report of a quantize run, written beside its output: what the run knows already, and both models' answers.
// A report that cannot be written never spoils a checkpoint that could.
#pragma once
#include <optional>
#include <string>

#include "eval/evaluate.h"
#include "pipeline/job/quantize.h"

namespace strata::pipeline {

/// Writes OUT.report.json and OUT.report.html for the checkpoint at request.output and returns one sentence for the
/// user: where the page is, or why there is none. Where the result was verified and the original is small enough for
/// that to take seconds, both models answer a few prompts. Throws Interrupted after Ctrl-C.
std::string report_quantize(const model::Model& model, const QuantizeRequest& request, const Prepared& prepared,
                            const Written& written, const std::optional<eval::Evaluation>& verified,
                            const std::string& command);

}  // namespace strata::pipeline
