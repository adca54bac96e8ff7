// Releases stand newest first, so that the first one that the plan has something of is the answer.
// What a plan keeps in bf16 every version loads.
#include "pipeline/plan/least_version.h"

namespace strata::pipeline {

std::string_view least_version(const Target& target, Schemes dense, Schemes experts) {
  for (const Release& release : target.releases)
    if (release.dense.meet(dense) || release.experts.meet(experts)) return release.version;
  return {};
}

std::string_view least_version(const Target& target, const Plan& plan, const model::Architecture& architecture) {
  Schemes dense, experts;
  for (std::size_t g = 0; g < plan.groups.size(); ++g) {
    const model::Linear& first = architecture.linears[architecture.groups[g].linears.front()];
    Schemes& used = first.routed() ? experts : dense;
    used = used | scheme_of(*plan.groups[g].codec);
  }
  return least_version(target, dense, experts);
}

}  // namespace strata::pipeline
