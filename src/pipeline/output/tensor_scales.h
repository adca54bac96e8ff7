// The tensor-level scales of linears: those that a runtime fuses share one, so it follows the largest weight of all.
// Weights are checked to be finite on the way.
#pragma once
#include <cstddef>
#include <vector>

#include "codec/codec.h"
#include "model/model.h"

namespace strata::pipeline {

class TensorScales {
 public:
  explicit TensorScales(const model::Model& model)
      : model_(model), group_absmax_(model.architecture().groups.size(), -1.0f) {}

  /// For linear `index` under `codec`; weights: its own. Throws Error for a weight that is not finite.
  float of(std::size_t index, const codec::Codec& codec, const MatrixView& weights);

 private:
  float group_absmax(std::size_t group);
  const model::Model& model_;
  std::vector<float> group_absmax_;
};

}  // namespace strata::pipeline
