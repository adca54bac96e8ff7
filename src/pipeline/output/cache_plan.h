// Scales of an FP8 cache before they are known, since their number alone decides about sizes.
#pragma once
#include <string>

#include "pipeline/output/output.h"
#include "pipeline/plan/request.h"

namespace strata::pipeline {

/// 1 for every block that keeps keys and values, none for others.
CacheScales cache_to_measure(const model::Architecture& architecture);
/// The same where the request is for an FP8 cache (--kv), and no scales of inputs.
MeasuredScales planned_scales(const PlanRequest& request, const model::Architecture& architecture);

/// Empty when an output for the target can have an FP8 cache of this model, else why not.
std::string why_no_fp8_cache(const Target& target, const model::Architecture& architecture);

}  // namespace strata::pipeline
