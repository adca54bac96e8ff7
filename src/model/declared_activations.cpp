// How the inputs of a model's linears are declared to be rounded. Runtimes hold q, k and v, or gate and up, in one
// matrix with one scale for their inputs: vLLM takes the largest of their scales, whatever it means.
#include <algorithm>

#include "model/model.h"

namespace strata::model {

std::vector<codec::ActivationRounding> Model::declared_activations() const {
  std::vector<codec::ActivationRounding> declared;
  for (const Linear& linear : architecture_.linears) declared.push_back(source_->activations_of(linear.module));
  for (const FusionGroup& group : architecture_.groups) {
    const codec::ActivationRounding first = declared[group.linears.front()];
    // Experts are of one group too, but each reads rows of its own.
    if (!first.rounds() || architecture_.linears[group.linears.front()].routed()) continue;
    float largest = first.scale;
    for (const std::size_t l : group.linears)
      if (declared[l].kind == first.kind) largest = std::max(largest, declared[l].scale);
    for (const std::size_t l : group.linears)
      if (declared[l].kind == first.kind) declared[l].scale = largest;
  }
  return declared;
}

}  // namespace strata::model
