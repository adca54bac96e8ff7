// Costs by gradients: what fisher says of every linear and codec, corrected by the divergences that were measured.
// Gradients tell of all groups for the price of a few passes, and measurements say where they err.
#pragma once
#include "importance/scores.h"
#include "pipeline/choose/costs.h"

namespace strata::pipeline {

/// Whether costs of these scores are made here: they hold fisher, and no alpha or not the errors that it prices.
bool has_gradient_costs(const importance::Scores& scores);

/// Costs in nats per token. Where `kl` was measured for a group at a codec, the group's cost there is that. Elsewhere
/// fisher is multiplied by what measurements show of it: those of the group with codecs of the same kind of grid, else
/// the mean over groups of that kind and role together with a share of what sets this group apart under other kinds.
Costs gradient_costs(const importance::Scores& scores, const model::Architecture& architecture, Pricing pricing);

}  // namespace strata::pipeline
