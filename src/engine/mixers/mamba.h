// What Mamba-2 reads of its model, for both passes.
#pragma once
#include <cstddef>

#include "engine/block_weights.h"
#include "kernel/state_space.h"
#include "model/model.h"

namespace strata::engine {

/// What a block has beside its linears, from the model's files.
MambaWeights read_mamba_weights(const model::Model& model, std::size_t block);

/// The same for the scan; `weights` must outlive it.
kernel::StateSpaceWeights scan_weights(const model::Mamba& mamba, const MambaWeights& weights);

}  // namespace strata::engine
