// From what a user asks for (a budget, a preset, pins) to a plan.
// Costs come from scores; the arithmetic is src/allocate.
#pragma once
#include <string>
#include <vector>

#include "model/model.h"
#include "pipeline/plan/plan.h"
#include "pipeline/plan/request.h"
#include "pipeline/plan/target.h"

namespace strata::pipeline {

struct PlanResult {
  Plan plan;
  std::vector<LeftOut> left_out;   ///< codecs that were not considered, and why
  std::vector<std::string> notes;  ///< what a user should know
  std::uint64_t output_bytes = 0;  ///< exact size of the whole output
};

/// Throws Error for a budget that cannot be met (saying the smallest that can, and which target could), a regular
/// expression that is malformed or matches nothing, contradictory pins; UsageError for contradictory options.
PlanResult make_plan(const model::Model& model, const Target& target, const PlanRequest& request, const Costs& costs);

/// Throws what make_plan would throw for the request, whatever the costs turn out to be: to be called before scoring.
void check_request(const model::Model& model, const Target& target, const PlanRequest& request);

}  // namespace strata::pipeline
