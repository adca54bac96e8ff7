// Round to nearest: every weight to its nearest code, with scales fitted a group at a time. Works with every codec.
// Runs on all threads (core/threads.h); bytes and sums do not depend on their number.
#pragma once
#include <span>

#include "codec/codec.h"
#include "core/matrix.h"

namespace strata::quantize {

/// weights: (rows, cols), finite, of a shape that codec::why_not accepts. importance: cols values >= 0, one an input,
/// or empty for all ones. tensor_scale: from codec::tensor_scale over all linears that a runtime fuses.
codec::Stored quantize_rtn(const codec::Codec& codec, const MatrixView& weights, std::span<const float> importance,
                           codec::ScaleFit fit, float tensor_scale);

/// Sums over a linear, in double.
struct WeightedError {
  double error = 0.0;   ///< sum of importance * (weight - decoded)^2
  double energy = 0.0;  ///< sum of importance * weight^2
  /// error / energy; 0 for a linear without energy.
  double relative() const { return energy > 0.0 ? error / energy : 0.0; }
};

/// The error of what quantize_rtn makes of the same arguments, without keeping its bytes.
WeightedError weighted_error(const codec::Codec& codec, const MatrixView& weights, std::span<const float> importance,
                             codec::ScaleFit fit, float tensor_scale);

}  // namespace strata::quantize
