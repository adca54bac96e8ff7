// What the main job leaves out for a model that cannot be run (model/unknown.h): all that takes a forward pass.
#pragma once
#include "pipeline/job/listener.h"
#include "pipeline/job/request.h"

namespace strata::pipeline {

/// Throws Error for a codec that holds a measured scale of what linears read, where the model cannot be run.
void check_input_scale(const codec::Codec& codec, const model::Architecture& architecture);

/// The request as the model can have it. For a model that can be run it is the same. For another, preset best becomes
/// prior, the usual signal of lwq becomes zd, and nothing is measured afterwards, which the listener is told. Throws
/// Error, naming the option and what works in its place, for a request that takes a forward pass.
QuantizeRequest fitted_to(const model::Model& model, QuantizeRequest request, Listener& listener);

}  // namespace strata::pipeline
