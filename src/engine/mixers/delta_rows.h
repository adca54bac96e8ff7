// What a gated delta net makes of its input between its linears and the delta rule, for both passes.
#pragma once
#include <cstddef>
#include <vector>

#include "engine/block_weights.h"
#include "model/model.h"

namespace strata::engine {

/// What a block has beside its linears, from the model's files.
DeltaWeights read_delta_weights(const model::Model& model, std::size_t block);

/// What the linears put out for a batch, or the gradients by that.
struct DeltaRows {
  DeltaRows() = default;
  DeltaRows(const model::DeltaNet& d, std::size_t tokens)
      : qkv(tokens * d.channels()), z(tokens * d.values()), beta(tokens * d.value_heads), decay(beta.size()) {}
  std::vector<float> qkv;          ///< (tokens, channels)
  std::vector<float> z;            ///< (tokens, values)
  std::vector<float> beta, decay;  ///< (tokens, value_heads)
};

// in_qkvz and in_ba put out the values of a key head together: q, k, v and z of it, or beta and decay.
/// Takes what in_qkvz put out apart, into qkv and z.
void take_qkvz(const model::DeltaNet& net, const float* from, std::size_t tokens, DeltaRows& rows);
/// Takes what in_ba put out apart, into beta and decay.
void take_ba(const model::DeltaNet& net, const float* from, std::size_t tokens, DeltaRows& rows);
/// The other way round: (tokens, channels + values), and (tokens, 2 * value_heads).
std::vector<float> put_qkvz(const model::DeltaNet& net, std::size_t tokens, DeltaRows& rows);
std::vector<float> put_ba(const model::DeltaNet& net, std::size_t tokens, DeltaRows& rows);

/// beta and decay become what the delta rule reads: beta its sigmoid times DeltaNet::beta_scale, decay
/// rate * softplus(decay + dt_bias). steps: filled with what softplus read, unless null.
void make_gates(const model::DeltaNet& net, const DeltaWeights& weights, DeltaRows& rows,
                std::vector<float>* steps = nullptr);
/// beta and decay of `d`, gradients by what the delta rule reads, become those by what the linears put out. rows,
/// steps: as make_gates left them.
void make_gates_gradient(const model::DeltaNet& net, const DeltaWeights& weights, const DeltaRows& rows,
                         const std::vector<float>& steps, DeltaRows& d);

}  // namespace strata::engine
