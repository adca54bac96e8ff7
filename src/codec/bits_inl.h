// A float's bits and back, numbers in bytes, and loops with constant indices, for the files of one instruction set: the
// templates of the standard library would be shared with files for other CPUs.
#pragma once
#include <cstdint>
#include <cstring>

namespace strata::codec {
namespace {

inline std::uint32_t bits_of_float(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline float float_of_bits(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// The first sizeof(Number) bytes at `in`.
template <class Number>
inline Number number_at(const unsigned char* in) {
  Number number;
  std::memcpy(&number, in, sizeof number);
  return number;
}

template <unsigned kValue>
struct Constant {
  constexpr operator unsigned() const { return kValue; }
};
/// Calls body(Constant<0>), body(Constant<1>), ... one after the other, kCount times.
template <unsigned kCount, unsigned kFirst = 0, class Body>
[[gnu::always_inline]] inline void unrolled(Body&& body) {
  if constexpr (kFirst < kCount) {
    body(Constant<kFirst>{});
    unrolled<kCount, kFirst + 1>(body);
  }
}

/// The value of a float16. Exponent and mantissa moved into place, then scaled by 2^112 to move the bias: exact,
/// subnormals included.
inline float float_of_half(std::uint32_t half) {
  const std::uint32_t magnitude = half & 0x7FFFu;
  const std::uint32_t finite = bits_of_float(float_of_bits(magnitude << 13) * 0x1p112f);
  const std::uint32_t bits = magnitude >= 0x7C00u ? (magnitude << 13) | 0x7F800000u : finite;
  return float_of_bits(bits | (half & 0x8000u) << 16);
}

}  // namespace
}  // namespace strata::codec
