// From what a user asks for (a budget, a preset, pins) to a plan.
// Costs come from scores; the arithmetic is src/allocate.
#pragma once
#include <string>
#include <vector>

#include "pipeline/choose/problem.h"

namespace strata::pipeline {

struct PlanResult {
  Plan plan;
  std::vector<LeftOut> left_out;   ///< codecs that were not considered, and why
  std::vector<std::string> notes;  ///< what a user should know
  std::uint64_t output_bytes = 0;  ///< exact size of the whole output
  std::string least_version{};     ///< of the runtime ("vLLM 0.29"); empty where the target does not say
};

/// The plan that the request's preset makes within the request's budget. Throws Error for a budget that cannot be met
/// (refusal.h) and for costs that lack what the preset needs; UsageError for options that contradict each other, and
/// for --max-kl, whose plans are measured (measure/max_kl.h).
PlanResult make_plan(const Problem& problem);

/// Throws what make_plan would throw for the request, whatever the costs turn out to be: to be called before scoring.
/// Nothing is planned: the smallest plan that the preset can make is held against the budget.
void check_request(const model::Model& model, const Target& target, const PlanRequest& request);

}  // namespace strata::pipeline
