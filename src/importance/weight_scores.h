// Scores of blocks that are made from weights alone: no text and no forward pass, so that models which cannot be run
// have them too.
#pragma once
#include <span>

#include "importance/scores.h"
#include "importance/signal.h"

namespace strata::importance {

/// The signals' values by block; every one must have Signal::of_block. Throws Error for weights that are not finite,
/// naming the tensor, row and column.
Scores score_weights(const model::Model& model, std::span<const Signal* const> signals);

/// "zd,zd_linear,extremal": the names of all such signals, as --signals takes them.
std::string weight_signals();

}  // namespace strata::importance
