// The oldest version of the runtime that loads a plan.
#pragma once
#include <string_view>

#include "pipeline/plan/plan.h"
#include "pipeline/plan/target.h"

namespace strata::pipeline {

/// "vLLM 0.29": the version that brought the last of these schemes, as the target's releases say; empty where they say
/// nothing.
std::string_view least_version(const Target& target, Schemes dense, Schemes experts);

/// The same of all that a plan uses.
std::string_view least_version(const Target& target, const Plan& plan, const model::Architecture& architecture);

}  // namespace strata::pipeline
