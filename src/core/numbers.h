// Small number formats as bits: bf16, f16, fp8 E4M3, fp4 E2M1, E8M0. These scalar functions are the specification.
// Sources: IEEE 754-2019; OCP 8-bit Floating Point (OFP8) 1.0; OCP Microscaling Formats (MX) 1.0.
#pragma once
#include <array>
#include <bit>
#include <cstdint>

namespace strata {

/// A bfloat16 as its bits.
struct bf16 {
  std::uint16_t bits;
};
/// An IEEE binary16 as its bits.
struct f16 {
  std::uint16_t bits;
};
static_assert(sizeof(bf16) == 2 && sizeof(f16) == 2);

inline float to_float(bf16 value) { return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16); }

/// Round to nearest, ties to even; NaN stays NaN (quiet), overflow becomes infinity.
inline bf16 to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return {static_cast<std::uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<std::uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16)};
}
inline float round_bf16(float value) { return to_float(to_bf16(value)); }

float to_float(f16 value);
/// Round to nearest, ties to even; NaN stays NaN, overflow becomes infinity.
f16 to_f16(float value);

/// fp8 E4M3 (OFP8 "FN": no infinities, 0x7F and 0xFF are NaN).
float e4m3_to_float(std::uint8_t code);
/// Saturates at +-448, ties to even; NaN becomes NaN (0x7F with the sign). -0 and negative underflow give 0x80.
std::uint8_t float_to_e4m3(float value);
/// The largest numbers of E2M1 and E4M3.
inline constexpr float kMostE2m1 = 6.0f;
inline constexpr float kMostE4m3 = 448.0f;

/// fp4 E2M1: sign << 3 | index into {0, .5, 1, 1.5, 2, 3, 4, 6}.
inline constexpr std::array<float, 16> kE2m1 = {0.f,  .5f,  1.f,  1.5f,  2.f,  3.f,  4.f,  6.f,
                                                -0.f, -.5f, -1.f, -1.5f, -2.f, -3.f, -4.f, -6.f};
inline float e2m1_to_float(std::uint8_t code) { return kE2m1[code & 15]; }
/// Saturates at +-6, ties to even mantissa; -0 gives 0, a negative value that rounds to zero gives 8; NaN gives 0.
std::uint8_t float_to_e2m1(float value);

/// E8M0: 2^(code - 127); 255 is NaN.
float e8m0_to_float(std::uint8_t code);

}  // namespace strata
