// What stands between gate, up and down, as the Architecture says, and its gradient.
#pragma once
#include <cstddef>
#include <optional>

#include "kernel/gates.h"
#include "model/model.h"

namespace strata::engine {

/// The numbers of a block's activation where it has any (Activation::xielu).
std::optional<kernel::Xielu> xielu_of(const model::Model& model, std::size_t block);

/// gate becomes the activation of gate and up, which down reads; (count) each. Without gates (Architecture::gated) it
/// holds what up put out, and `up` is null. xielu: that of the block.
void activate(const model::Architecture& architecture, const std::optional<kernel::Xielu>& xielu, float* gate,
              const float* up, std::size_t count);
/// gate and up become the gradients by them; dy: the gradient by what activate makes of them. Without gates likewise.
void activate_gradient(const model::Architecture& architecture, const std::optional<kernel::Xielu>& xielu, float* gate,
                       float* up, const float* dy, std::size_t count);

}  // namespace strata::engine
