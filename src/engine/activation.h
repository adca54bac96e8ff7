// What stands between gate, up and down, as the Architecture says, and its gradient.
#pragma once
#include <cstddef>

#include "model/architecture.h"

namespace strata::engine {

/// gate becomes the activation of gate and up, which down reads; (count) each. Without gates (Architecture::gated) it
/// holds what up put out, and `up` is null.
void activate(const model::Architecture& architecture, float* gate, const float* up, std::size_t count);
/// gate and up become the gradients by them; dy: the gradient by what activate makes of them. Without gates likewise.
void activate_gradient(const model::Architecture& architecture, float* gate, float* up, const float* dy,
                       std::size_t count);

}  // namespace strata::engine
