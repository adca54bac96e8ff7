// The scales of an FP8 cache by a calibration text: the largest magnitude of a block's keys, and of its values, becomes
// the largest number of E4M3.
#pragma once
#include "pipeline/job/prepare.h"
#include "pipeline/job/stages.h"
#include "pipeline/output/output.h"

namespace strata::pipeline {

/// By block; empty unless request.plan.fp8_cache. The text is that of the scores; what an earlier run of the job has
/// found is used again.
CacheScales cache_scales(const model::Model& model, const QuantizeRequest& request, JobFolder& folder);

}  // namespace strata::pipeline
