// The main job, told once: calibrate, score, plan, write, verify, report. A command line, a Python module or a test
// calls quantize() and is told by a Listener what happens.
#pragma once
#include <optional>
#include <string>

#include "eval/evaluate.h"
#include "pipeline/job/forecast.h"
#include "pipeline/job/listener.h"
#include "pipeline/job/methods.h"
#include "pipeline/job/prepare.h"
#include "pipeline/job/request.h"

namespace strata::pipeline {

struct Quantized {
  Prepared prepared;
  Forecast forecast;
  Written written;
  std::optional<eval::Evaluation> verification;  ///< unset with --no-verify
  std::string report;  ///< a sentence: where the report is, or why there is none; may be empty
  double seconds = 0;
};

/// Does the whole job and returns what came of it. Killed or interrupted anywhere, the same call resumes, to the same
/// bytes. command: what the report shows as its origin. Throws UsageError for a request that contradicts itself, Error
/// for a model or machine that cannot do it, Interrupted after Ctrl-C.
Quantized quantize(const QuantizeRequest& request, Listener& listener, const std::string& command = {});

/// What quantize() would write and take, without writing anything. Scores are made where the plan needs them.
struct DryRun {
  Prepared prepared;
  Forecast forecast;
};
DryRun dry_run(const QuantizeRequest& request, Listener& listener);

/// KL divergence of the written model from the original, on text that the calibration did not use as far as there is
/// such text (verification_text.h); the result's `text` says what it was.
eval::Evaluation verify(const model::Model& original, const QuantizeRequest& request,
                        const std::filesystem::path& written);

}  // namespace strata::pipeline
