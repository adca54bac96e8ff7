// Largest magnitudes of fusion groups, found once.
// Only codecs with a tensor-level scale need the other linears of a group.
#include "pipeline/output/tensor_scales.h"

#include <algorithm>

#include "quantize/scan.h"

namespace strata::pipeline {

float TensorScales::of(std::size_t index, const codec::Codec& codec, const MatrixView& weights) {
  const model::Linear& linear = model_.architecture().linears[index];
  const float own = quantize::checked_absmax(weights, model_.path().string(), linear.module + ".weight");
  return codec::tensor_scale(codec, codec.tensor_scaled ? group_absmax(linear.group) : own);
}

float TensorScales::group_absmax(std::size_t group) {
  float& absmax = group_absmax_[group];
  if (absmax >= 0) return absmax;
  absmax = 0;
  for (const std::size_t l : model_.architecture().groups[group].linears) {
    const model::Linear& linear = model_.architecture().linears[l];
    const model::LinearWeights weights = model_.weights(linear);
    absmax = std::max(
        absmax, quantize::checked_absmax(weights.view().dense, model_.path().string(), linear.module + ".weight"));
  }
  return absmax;
}

}  // namespace strata::pipeline
