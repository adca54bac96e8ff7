// Storable scales by asking the codec: the min-max fit of weights at both ends of its grid.
#include "quantize/scales.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/numbers.h"

namespace strata::quantize {

namespace {

/// Whether the scale of a GGUF type with blocks of its own and no scale of the tensor is a float16, and not a power of
/// two.
bool has_float16_scale(const codec::Codec& codec) {
  std::vector<float> weights(codec.group_size, 1.3f);
  weights[0] = -1.3f;
  const float scale = codec.fit(codec, weights, {}, codec::ScaleFit::minmax, 1.0f).scale;
  int exponent = 0;
  return std::frexp(std::fabs(scale), &exponent) != 0.5f;
}

}  // namespace

MovableScales::MovableScales(const codec::Codec& codec, float tensor_scale)
    : codec_(codec), tensor_scale_(tensor_scale) {
  if (codec.super_size != 0 || codec.fit == nullptr || !codec.has_codes()) return;
  if (codec.container == codec::Container::gguf && !codec.tensor_scaled) {
    if (has_float16_scale(codec)) type_ = DType::f16;
    return;
  }
  if (codec.family == codec::Family::affine) {
    type_ = DType::bf16;
    return;
  }
  float low = 0.0f, high = 0.0f;
  for (unsigned code = 0; code < 1u << codec.code_bits; ++code) {
    const float v = codec.value(codec, static_cast<std::uint8_t>(code), {});
    low = std::isfinite(v) ? std::min(low, v) : low;
    high = std::isfinite(v) ? std::max(high, v) : high;
  }
  half_range_ = (high - low) / 2.0f;
  // mxfp8 rounds its power of two so that the ends of its grid at one scale ask for the next: no scale stays put.
  const float plain[] = {-1.0f, 1.0f};
  const float scale = codec.fit(codec, std::span<const float>(plain), {}, codec::ScaleFit::minmax, tensor_scale).scale;
  if (storable(scale) != scale) half_range_ = 0.0f;
}

float MovableScales::storable(float scale) const {
  if (type_ == DType::f16) {
    constexpr float least = 0x1p-24f, most = 65504.0f;
    return std::copysign(to_float(to_f16(std::clamp(std::fabs(scale), least, most))), scale);
  }
  if (type_ == DType::bf16) {
    constexpr float least = 0x1p-126f, most = 0x1.FEp127f;
    return std::copysign(round_bf16(std::clamp(std::fabs(scale), least, most)), scale);
  }
  const float ends[] = {-half_range_ * std::fabs(scale), half_range_ * std::fabs(scale)};
  const float stored =
      codec_.fit(codec_, std::span<const float>(ends), {}, codec::ScaleFit::minmax, tensor_scale_).scale;
  return std::copysign(stored, scale);
}

codec::GroupParams unit_scale(codec::GroupParams group) {
  group.scale = 1.0f;
  group.min = 0.0f;
  return group;
}

}  // namespace strata::quantize
