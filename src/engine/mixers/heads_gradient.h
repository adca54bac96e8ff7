// The gradients of what happens to the heads of q and k between their linears and attention (heads.h).
#pragma once
#include <cstddef>

#include "engine/mixers/heads.h"

namespace strata::engine {

/// The gradient of turn_heads: d, that by the turned heads, becomes that by the heads before. d: (batch.tokens, heads),
/// heads `head_size` apart, and nothing between a token's last head and the next one's first.
void turn_heads_gradient(const model::Architecture& architecture, const model::BlockAttention& attention,
                         const Batch& batch, float* d, std::size_t heads, std::size_t head_size);

/// The gradient of prepare_heads: d (batch.tokens, heads * head_dim), that by what it made, becomes that by what the
/// linear put out. steps: those that it filled; the rest is what it was given.
void prepare_heads_gradient(const model::Architecture& architecture, const model::BlockAttention& attention,
                            const Batch& batch, model::Norm norm, const float* weights, std::size_t heads,
                            const HeadSteps& steps, float* d);

}  // namespace strata::engine
