// Keys and values of all heads of latent attention, from what kv_b puts out, for both passes.
#pragma once
#include <cstddef>

#include "kernel/ops.h"
#include "model/architecture.h"

namespace strata::engine {

/// k (tokens, heads * head_dim) and v (tokens, heads * value) of `expanded` (tokens, heads * (plain + value)), which
/// kv_b put out, and of `turned` (tokens, turned), the part of a key that all heads share.
void spread_keys(const model::Architecture& architecture, const float* expanded, const float* turned,
                 std::size_t tokens, float* k, float* v);

/// The attention of a sequence of `tokens` that begins at a row of these, with q like k and out like v.
kernel::Attention spread_attention(const model::Architecture& architecture, std::size_t row, std::size_t tokens,
                                   const float* q, const float* k, const float* v, float* out);

}  // namespace strata::engine
