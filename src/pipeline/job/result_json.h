// What came of a plan or of the main job, as JSON: what `--json` prints and the Python module returns.
// docs/files.md names the members of the parts that are files too.
#pragma once
#include "pipeline/job/quantize.h"

namespace strata::pipeline {

json to_json(const PlanResult& plan);
json to_json(const Forecast& forecast);
json to_json(const DryRun& run);
/// method: the name of the one that rounded.
json to_json(const Quantized& done, std::string_view method);

}  // namespace strata::pipeline
