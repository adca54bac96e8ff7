// The codecs of a checkpoint as they lie on disk, whatever its container.
// Reports show them where there is no plan, and hold a plan against them where there is one.
#pragma once
#include <string>
#include <vector>

#include "model/model.h"
#include "pipeline/plan/plan.h"

namespace strata::pipeline {

/// The codec of every linear (Architecture::linears); `keep` for weights of 16 or 32 bits, and for types of GGUF that
/// no codec writes.
std::vector<const codec::Codec*> stored_codecs(const model::Model& quantized);

/// Throws Error naming `where` unless every linear of the checkpoint has the codec that the plan gives it: a plan of
/// another run would show bits that the checkpoint does not have.
void check_plan_of(const Plan& plan, const model::Model& quantized, const std::string& where);

}  // namespace strata::pipeline
