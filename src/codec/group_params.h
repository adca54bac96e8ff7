// The parameters that the weights of one scale group share.
// Plain on purpose: the files of one instruction set include it too.
#pragma once

namespace strata::codec {

/// As stored, that is, already rounded to their stored precision.
/// Integers: weight = (q - zero_point) * scale. Floats: weight = value * scale. K-quants: scale * q - min.
struct GroupParams {
  float scale = 1.0f;
  float zero_point = 0.0f;
  float min = 0.0f;
};

enum class ScaleFit {
  minmax,  ///< the plain scale of the largest magnitude (or range), as compressed-tensors computes it
  search,  ///< the scale that minimizes the importance-weighted squared error; never worse than minmax
};

}  // namespace strata::codec
