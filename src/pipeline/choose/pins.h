// --keep, --assign and --at-least, and what the rules of a prior keep: groups whose codec the user has decided or
// bounded. A regular expression is searched in the module names; a group follows when any of its linears matches.
#pragma once
#include <vector>

#include "codec/codec.h"
#include "pipeline/plan/request.h"
#include "pipeline/plan/target.h"

namespace strata::pipeline {

/// What is decided about every group. A group that is nullptr in both members is free.
struct Pins {
  std::vector<const codec::Codec*> exact;
  std::vector<const codec::Codec*> floor;  ///< the group's bytes are at least this codec's; nullptr where exact is set
};

/// Throws Error for an expression that is malformed or matches no linear, an unknown codec, a codec that the target or
/// a shape forbids, two different codecs for one group, or a codec below a floor.
Pins resolve_pins(const model::Architecture& architecture, const Target& target, const PlanRequest& request);

}  // namespace strata::pipeline
