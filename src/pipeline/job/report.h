// The report of the main job, written beside its output: what the job knows already, and both models' answers.
// A report that cannot be written never spoils a checkpoint that could.
#pragma once
#include <string>

#include "pipeline/job/quantize.h"

namespace strata::pipeline {

/// Writes OUT.report.json and OUT.report.html beside the output and returns one sentence for the user: where the page
/// is, or why there is none. Where the result was verified and the original is small enough for that to take seconds,
/// both models answer a few prompts. command: what the report shows as its origin. Throws Interrupted after Ctrl-C.
std::string write_job_report(const model::Model& model, const QuantizeRequest& request, const Quantized& done,
                             const std::string& command);

}  // namespace strata::pipeline
