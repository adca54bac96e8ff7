// What codecs cost by rules of the literature alone: preset prior.
#pragma once
#include "importance/signals/prior.h"
#include "model/model.h"
#include "pipeline/plan/request.h"

namespace strata::pipeline {

/// The request's rules, or those of the literature.
importance::Prior prior_of(const PlanRequest& request);
/// Costs by linear and codec: the number of weights x the product of the matching rules' weights x 4^-bits. `keep`, and
/// the codec that the source holds a linear in, cost nothing.
Costs prior_costs(const importance::Prior& prior, const model::Model& model);

}  // namespace strata::pipeline
