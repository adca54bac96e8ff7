// The smallest plan whose measured KL divergence stays under a limit.
// Costs say where to look; measurements of whole plans decide.
#pragma once
#include "pipeline/choose/planner.h"
#include "pipeline/measure/plan_meter.h"

namespace strata::pipeline {

/// Plans of preset best at falling and rising bits until one is found whose KL divergence on the meter's text, plus one
/// standard error, is at most request.max_kl while one of about 1 % more bytes is not needed; at most 12 measurements.
/// What was measured is among the notes. Throws Error when not even the plan of most bits stays under the limit (saying
/// what it reaches), and as make_plan.
PlanResult plan_under_kl(const model::Model& model, const Target& target, const PlanRequest& request,
                         const Costs& costs, PlanMeter& meter);

}  // namespace strata::pipeline
