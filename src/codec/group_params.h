// The parameters that the weights of one scale group share.
// Plain on purpose: the files of one instruction set include it too.
#pragma once
#include <cstdint>

namespace strata::codec {

/// The parameters as a reader sees them, already rounded to the precision that they are stored in. They mean:
/// integers: weight = (q - zero_point) * scale; floats: weight = value * scale; GGUF types and affine ones: weight =
/// level * scale - min.
struct GroupParams {
  float scale = 1.0f;
  float zero_point = 0.0f;
  float min = 0.0f;
  // A group of a super-block: scale = super_scale * scale_code and min = super_min * min_code, the products rounded.
  float super_scale = 0.0f, super_min = 0.0f;
  std::int16_t scale_code = 0, min_code = 0;
};

enum class ScaleFit {
  minmax,  ///< the plain scale of the largest magnitude (or range), as compressed-tensors computes it
  search,  ///< the scale that minimizes the importance-weighted squared error; never worse than minmax
};

}  // namespace strata::codec
