// --keep and --assign: groups whose codec the user has decided.
// A regular expression is searched in the module names; a group follows when any of its linears matches.
#pragma once
#include <vector>

#include "codec/codec.h"
#include "pipeline/planner.h"

namespace strata::pipeline {

/// Per group the codec it is pinned to, or nullptr. Throws Error for an expression that is malformed or matches no
/// linear, an unknown codec, a codec that the target or a shape forbids, or two different codecs for one group.
std::vector<const codec::Codec*> pinned_codecs(const model::Architecture& architecture, const Target& target,
                                               const PlanRequest& request);

}  // namespace strata::pipeline
