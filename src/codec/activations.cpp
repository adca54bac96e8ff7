// Scales of whole rows and of groups; codes and values are made by the kernels that round weights. What is divided and
// what is multiplied by a reciprocal is as vLLM's kernels have it.
#include "codec/activations.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "codec/family.h"
#include "core/error.h"
#include "core/numbers.h"

namespace strata::codec {
namespace {

using Kind = ActivationRounding::Kind;

constexpr float kMostInt8 = 127.0f;
constexpr float kLeastTokenScale = 1.0f / (kMostE4m3 * 512.0f);  // of vLLM's dynamic_per_token kernel
constexpr float kLeastGroupMagnitude = 1e-10f;                   // of vLLM's per_token_group_quant_fp8
constexpr std::size_t kFp8Group = 128;

/// The largest magnitude; infinity or NaN where a value is not finite.
float largest_magnitude(std::span<const float> row) {
  // The bits of magnitudes have the order of the magnitudes, and those of NaN come last.
  constexpr std::size_t lanes = 16;
  std::array<std::int32_t, lanes> most{};
  const auto take = [&](std::size_t lane, float value) {
    most[lane] = std::max(most[lane], std::bit_cast<std::int32_t>(value) & 0x7FFFFFFF);
  };
  std::size_t i = 0;
  for (; i + lanes <= row.size(); i += lanes)
    for (std::size_t lane = 0; lane < lanes; ++lane) take(lane, row[i + lane]);
  for (; i < row.size(); ++i) take(0, row[i]);
  return std::bit_cast<float>(*std::ranges::max_element(most));
}

bool is_finite(float value) { return value <= std::numeric_limits<float>::max(); }

/// Calls piece(values, out) for stretches of a row that fit small buffers; groups of every size divide them.
template <class Piece>
void for_pieces(std::span<const float> row, std::span<float> out, Piece piece) {
  for (std::size_t at = 0; at < row.size(); at += kPiece) {
    const std::size_t count = std::min(kPiece, row.size() - at);
    piece(row.subspan(at, count), out.data() + at);
  }
}

/// value(nearest code of x / scale): a division, as in vLLM's kernels of dynamic FP8.
void divide_to_e4m3(const Variant& variant, std::span<const float> row, float scale, std::span<float> out) {
  const GroupParams group{.scale = scale};
  for_pieces(row, out, [&](std::span<const float> x, float* y) {
    std::uint8_t codes[kPiece];
    variant.round_e4m3(x.data(), {x.size(), x.size()}, &group, codes);
    variant.values_e4m3(codes, {x.size(), x.size()}, &group, y);
  });
}

/// The same with x * (1 / scale), rounded once more: to_codes and to_values are of FP8 or of integers.
template <class ToCodes, class ToValues>
void multiply_to_codes(std::span<const float> row, float scale, std::span<float> out, ToCodes to_codes,
                       ToValues to_values) {
  const float reciprocal = 1.0f / scale;
  if (!is_finite(reciprocal)) {  // a row of zeros, or next to that
    std::ranges::fill(out, 0.0f);
    return;
  }
  const GroupParams group{.scale = scale}, unit{.scale = 1.0f};
  for_pieces(row, out, [&](std::span<const float> x, float* y) {
    float scaled[kPiece];
    std::uint8_t codes[kPiece];
    for (std::size_t i = 0; i < x.size(); ++i) scaled[i] = x[i] * reciprocal;
    to_codes(scaled, RowShape{x.size(), x.size()}, &unit, codes);
    to_values(codes, RowShape{x.size(), x.size()}, &group, y);
  });
}

void round_int8(const Variant& variant, std::span<const float> row, float scale, std::span<float> out) {
  multiply_to_codes(
      row, scale, out,
      [&](const float* x, RowShape shape, const GroupParams* unit, std::uint8_t* codes) {
        variant.round_int(x, shape, unit, 8, codes);
      },
      [&](const std::uint8_t* codes, RowShape shape, const GroupParams* group, float* y) {
        variant.values_int(codes, shape, group, 8, y);
      });
}

void round_groups_of_fp8(const Variant& variant, std::span<const float> row, std::span<float> out) {
  for (std::size_t at = 0; at < row.size(); at += kFp8Group) {
    const std::size_t count = std::min(kFp8Group, row.size() - at);
    const std::span<const float> group = row.subspan(at, count);
    divide_to_e4m3(variant, group, std::max(largest_magnitude(group), kLeastGroupMagnitude) / kMostE4m3,
                   out.subspan(at, count));
  }
}

/// As the codec rounds weights whose scales are those of the largest magnitudes.
void round_like_weights(const Variant& variant, const Codec& codec, std::span<const float> row, float tensor_scale,
                        std::span<float> out) {
  for_pieces(row, out, [&](std::span<const float> x, float* y) {
    GroupParams groups[kPiece / 16];
    std::uint8_t codes[kPiece];
    codec.rows->fit(variant, codec, x.data(), nullptr, x.size(), ScaleFit::minmax, tensor_scale, groups);
    codec.rows->round(variant, codec, x.data(), nullptr, x.size(), groups, codes);
    codec.rows->values(variant, codec, codes, x.size(), groups, y);
  });
}

const Codec& codec_like(Kind kind) {
  static const Codec &nvfp4 = by_name("nvfp4"), &mxfp4 = by_name("mxfp4"), &mxfp8 = by_name("mxfp8");
  return kind == Kind::nvfp4 ? nvfp4 : kind == Kind::mxfp4 ? mxfp4 : mxfp8;
}

}  // namespace

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::none:
      return "not rounded";
    case Kind::unknown:
      return "unknown";
    case Kind::int8_token:
      return "int8 by token";
    case Kind::e4m3_token:
      return "fp8 by token";
    case Kind::e4m3_groups:
      return "fp8 by groups of 128";
    case Kind::e4m3_tensor:
      return "fp8 with a fixed scale";
    case Kind::nvfp4:
      return "nvfp4";
    case Kind::mxfp4:
      return "mxfp4";
    case Kind::mxfp8:
      return "mxfp8";
  }
  STRATA_CHECK(false, "{}", static_cast<int>(kind));
}

float fixed_scale(ActivationRounding::Kind kind, float largest) {
  const float scale = kind == Kind::nvfp4 ? kMostE4m3 * kMostE2m1 / largest : largest / kMostE4m3;
  return scale > 0.0f && is_finite(scale) && is_finite(1.0f / scale) ? scale : 1.0f;
}

void round_activations(const Variant& variant, const ActivationRounding& rounding, std::span<const float> row,
                       std::span<float> out) {
  STRATA_CHECK(row.size() == out.size() && rounding.rounds(), "{} values to {}", row.size(), out.size());
  const float most = largest_magnitude(row);
  if (!is_finite(most)) {
    std::ranges::fill(out, std::numeric_limits<float>::quiet_NaN());
    return;
  }
  switch (rounding.kind) {
    case Kind::int8_token:
      return round_int8(variant, row, most / kMostInt8, out);
    case Kind::e4m3_token:
      return divide_to_e4m3(variant, row, std::max(most / kMostE4m3, kLeastTokenScale), out);
    case Kind::e4m3_groups:
      return round_groups_of_fp8(variant, row, out);
    case Kind::e4m3_tensor:
      return multiply_to_codes(row, rounding.scale, out, variant.round_e4m3, variant.values_e4m3);
    default:
      return round_like_weights(variant, codec_like(rounding.kind), row, rounding.scale, out);
  }
}

void round_activations(const ActivationRounding& rounding, std::span<const float> row, std::span<float> out) {
  round_activations(selected_variant(), rounding, row, out);
}

}  // namespace strata::codec
