// The tensor-level scales of linears. Linears that a runtime fuses share one scale, which follows from the largest
// weight of all of them. Weights are checked to be finite on the way.
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

  /// The scale of a linear (index into Architecture::linears) under `codec`. weights: the linear's own. Throws Error
  /// for a weight that is not finite.
  float of(std::size_t index, const codec::Codec& codec, const MatrixView& weights);

 private:
  float group_absmax(std::size_t group);
  const model::Model& model_;
  std::vector<float> group_absmax_;
};

}  // namespace strata::pipeline
