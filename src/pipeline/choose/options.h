// The options that a plan is asked for with, declared once for every verb and for the library.
// docs/allocation.md explains the presets and budgets that they speak of.
#pragma once
#include "core/options.h"
#include "pipeline/plan/request.h"

namespace strata::pipeline {

void visit(Budget& budget, OptionVisitor& visitor);
void visit(PlanRequest& request, OptionVisitor& visitor);

/// What was asked for, for the plan file: the preset, and every option that is not as it is by default.
json request_record(const PlanRequest& request);

/// Throws UsageError, naming the options, for a request that contradicts itself whatever the model: a preset that needs
/// a budget and has none, --levels without the preset that reads them.
void check_options(const PlanRequest& request);

}  // namespace strata::pipeline
