// What happens to the heads of q and k between their linears and attention: norm, clip, rotary embedding, factors.
#pragma once
#include <cstddef>
#include <vector>

#include "engine/batch.h"
#include "model/architecture.h"

namespace strata::engine {

/// The rows before each step that a backward pass needs them for, (tokens, heads * head_dim); empty where the block
/// does not take the step.
struct HeadSteps {
  std::vector<float> before_norm, before_clip, before_l2;
};

/// The rows and columns of the matrix that a norm of q or k sees are heads, or all heads of a token together: how many
/// values the norm is of.
std::size_t head_norm_size(const model::Architecture& architecture, const model::BlockAttention& attention,
                           std::size_t heads);

/// By how much a score of each head falls from one key to the one before (heads): arXiv 2108.12409, section 3. Empty
/// without Architecture::alibi.
std::vector<float> alibi_slopes(const model::Architecture& architecture);

/// The rotary embedding of the first dimensions of every head, in place; nothing where the block has none.
/// rows: (batch.tokens, heads), a token's heads `stride` floats after the one's before, heads `head_size` apart.
void turn_heads(const model::Architecture& architecture, const model::BlockAttention& attention, const Batch& batch,
                float* rows, std::size_t stride, std::size_t heads, std::size_t head_size);

/// rows: what the linear of q or k put out, (batch.tokens, heads * head_dim), in place. norm: Norm::q or Norm::k, with
/// its weights (head_norm_size), nullptr where there is no such norm. steps: filled, unless null.
void prepare_heads(const model::Architecture& architecture, const model::BlockAttention& attention, const Batch& batch,
                   model::Norm norm, const float* weights, std::size_t heads, float* rows, HeadSteps* steps = nullptr);

}  // namespace strata::engine
