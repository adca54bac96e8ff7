// Gates of what attention puts out: the sigmoid or softplus of a linear's rows, a value for every value or one a head.
// transformers: modeling_afmoe.py, modeling_qwen3_next.py, modeling_laguna.py.
#pragma once
#include <cstddef>

#include "model/architecture.h"

namespace strata::engine {

/// attended (tokens, q_size of the block) *= what its gates say. gates: (tokens, q_size), or (tokens, heads) where
/// there is one a head.
void apply_gates(const model::Architecture& architecture, std::size_t block, std::size_t tokens, const float* gates,
                 float* attended);

/// The gradients of apply_gates, whose inputs become their own. dy: (tokens, q_size), dense.
void gates_gradient(const model::Architecture& architecture, std::size_t block, std::size_t tokens, const float* dy,
                    float* gates, float* attended);

}  // namespace strata::engine
