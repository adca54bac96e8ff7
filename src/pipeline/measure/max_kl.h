// The smallest plan whose measured KL divergence stays under a limit.
// Costs say where to look; measurements of whole plans decide.
#pragma once
#include "pipeline/choose/planner.h"
#include "pipeline/measure/meter.h"

namespace strata::pipeline {

/// Tokens that a plan's divergence is measured on under --max-kl: its standard error is then about 3 % of it.
inline constexpr std::size_t kMaxKlTokens = 2048;
/// Plans that are measured at most.
inline constexpr std::size_t kMaxKlPlans = 12;

/// Plans of preset best at falling and rising bits, until the bits of the smallest one are known to 1 %, or kMaxKlPlans
/// are measured. A plan is under the request's limit (KlBudget) when its KL divergence on the meter's text plus one
/// standard error is at most that. The notes say what was measured. Throws Error when not even the plan of most bits
/// stays under the limit (saying what it reaches), and as make_plan.
PlanResult plan_under_kl(const Problem& problem, PlanMeter& meter);

}  // namespace strata::pipeline
