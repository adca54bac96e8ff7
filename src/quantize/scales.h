// Scales that are moved after they were fitted: which codecs allow it, and which scales they can store.
// Used by coordinate descent (refine.cpp) and by learned rounding.
#pragma once
#include <optional>

#include "codec/codec.h"

namespace strata::quantize {

class MovableScales {
 public:
  MovableScales(const codec::Codec& codec, float tensor_scale);

  /// False for codecs whose scales depend on each other (super-blocks) or cannot be asked for (mxfp8): theirs stay.
  bool any() const { return half_range_ > 0.0f || type_.has_value(); }
  /// The scale that the codec can store nearest to `scale` (sign kept), or a nearby one; never 0.
  float storable(float scale) const;

 private:
  const codec::Codec& codec_;
  float tensor_scale_;
  float half_range_ = 0.0f;      ///< half the distance between the ends of the grid at scale 1
  std::optional<DType> type_{};  ///< where any number of a type is a scale: float16 in GGUF blocks of 32, bf16 in MLX
};

/// The group with scale 1 and no minimum: a code's value in it is what the scale multiplies.
codec::GroupParams unit_scale(codec::GroupParams group);

}  // namespace strata::quantize
