// Sets of codecs by what runtimes tell apart: integers by their width and whether they have zero points, and every
// other format. Group sizes are not told apart. What a target has kernels for is such sets (target.h).
#pragma once
#include <cstdint>

#include "codec/codec.h"

namespace strata::pipeline {

struct Schemes {
  std::uint32_t bits = 0;  ///< one for each scheme
  constexpr bool hold(Schemes all) const { return (bits & all.bits) == all.bits; }
  constexpr bool meet(Schemes any) const { return (bits & any.bits) != 0; }
  friend constexpr Schemes operator|(Schemes a, Schemes b) { return {a.bits | b.bits}; }
  friend constexpr Schemes operator-(Schemes a, Schemes b) { return {a.bits & ~b.bits}; }
};

inline constexpr Schemes kNoScheme{}, kAnyScheme{~0u};
inline constexpr Schemes kKept{1u << 0};  ///< no codes
inline constexpr Schemes kFp8{1u << 1}, kNvfp4{1u << 2}, kMxfp4{1u << 3}, kMxfp8{1u << 4};
inline constexpr Schemes kInt8Activations{1u << 5};  ///< int8_w8a8, which rounds what it multiplies with to 8 bits too
/// The weights of kFp8, kNvfp4, kMxfp4 and kMxfp8, and inputs that are rounded as these are (FP8 with a fixed scale).
inline constexpr Schemes kFp8Static{1u << 25}, kNvfp4A4{1u << 26}, kMxfp4A4{1u << 27}, kMxfp8A8{1u << 28};
inline constexpr Schemes kFp8Block{1u << 29};  ///< FP8 with scales of blocks, and inputs in FP8 by groups of 128
inline constexpr Schemes kGgufTypes{1u << 6}, kMlxTypes{1u << 7};
inline constexpr Schemes kRareGgufTypes{1u << 24};  ///< types of GGUF for models that were trained to them

/// Integers of `least` to `most` bits, 2 to 8, without and with zero points.
constexpr Schemes symmetric(unsigned least, unsigned most) {
  Schemes set;
  for (unsigned bits = least; bits <= most; ++bits) set.bits |= 1u << (6 + bits);
  return set;
}
constexpr Schemes asymmetric(unsigned least, unsigned most) { return {symmetric(least, most).bits << 8}; }
constexpr Schemes symmetric(unsigned bits) { return symmetric(bits, bits); }
constexpr Schemes asymmetric(unsigned bits) { return asymmetric(bits, bits); }

/// The set of one that the codec is.
Schemes scheme_of(const codec::Codec& codec);

}  // namespace strata::pipeline
