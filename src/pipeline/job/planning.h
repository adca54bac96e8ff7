// Planning as a user asks for it: a budget becomes a codec for every group, in milliseconds, from scores made before.
// A plan that is to be searched runs the model; all others only look at its shapes.
#pragma once
#include <string>
#include <vector>

#include "core/options.h"
#include "importance/calibration.h"
#include "pipeline/choose/explain.h"
#include "pipeline/choose/planner.h"
#include "pipeline/measure/search.h"

namespace strata::pipeline {

struct PlanningRequest {
  std::filesystem::path model, scores;  ///< scores: a file; empty: none
  std::string output;                   ///< plan.json; empty: no file
  std::string method = "rtn", target = "vllm";
  bool explain = false;
  PlanRequest plan;
  SearchRequest search;
  importance::CalibrationRequest calibration;
};
void visit(PlanningRequest& request, OptionVisitor& visitor);

struct Planned {
  model::Model model;  ///< the one that the plan is for, as its target groups it
  PlanResult result;
  std::vector<Explanation> explanations;  ///< with --explain
};

/// Makes the plan and writes the file that was asked for. Throws UsageError for a request that contradicts itself or
/// lacks scores, Error for a budget that cannot be met and for scores of another model.
Planned plan(const PlanningRequest& request);

}  // namespace strata::pipeline
