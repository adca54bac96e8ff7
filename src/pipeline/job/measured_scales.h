// The scales that an output holds for what is rounded when it runs, by a calibration text: of an FP8 cache, and of what
// linears read. The largest magnitude of the text becomes the largest number of the format.
#pragma once
#include "pipeline/job/prepare.h"
#include "pipeline/job/stages.h"
#include "pipeline/output/output.h"

namespace strata::pipeline {

/// Those of request.plan.fp8_cache and of the plan's codecs; nothing is run where there are none. The text is that of
/// the scores; what an earlier run of the job has found is used again.
MeasuredScales measured_scales(const model::Model& model, const QuantizeRequest& request, const Plan& plan,
                               JobFolder& folder);

}  // namespace strata::pipeline
