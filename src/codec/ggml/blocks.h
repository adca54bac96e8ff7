// The block types of ggml, and the numbers that their decoders share. Plain types only, as in variant.h.
// Layouts: docs/formats/gguf.md. Decoding is equal bit for bit to the gguf package's.
#pragma once
#include <cstddef>
#include <cstdint>

namespace strata::codec {

/// The types that Variant::decode_blocks can decode.
enum class BlockType : std::uint8_t {
  f32,
  f16,
  bf16,
  q8_0,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q6_k,
  q5_k,
  q4_k,
  q3_k,
  q2_k,
  iq4_nl,
  iq4_xs,
  iq3_s,
  iq3_xxs,
  iq2_s,
  iq2_xs,
  iq2_xxs,
  iq1_s,
  iq1_m,
  tq1_0,
  tq2_0,
  mxfp4,
  nvfp4,
  q1_0,
  q2_0,
};

/// Weights of a block of NVFP4, which has four groups.
inline constexpr std::size_t kNvfp4Block = 64;

/// The levels of IQ4_NL and IQ4_XS, by code (ggml: kvalues_iq4nl).
inline constexpr float kIq4Levels[16] = {-127.f, -104.f, -83.f, -65.f, -49.f, -35.f, -22.f, -10.f,
                                         1.f,    13.f,   25.f,  38.f,  53.f,  69.f,  89.f,  113.f};

/// The values of E2M1 by code, as they are, and times two, as ggml has them.
inline constexpr float kE2m1Values[16] = {0.f,  0.5f,  1.f,  1.5f,  2.f,  3.f,  4.f,  6.f,
                                          -0.f, -0.5f, -1.f, -1.5f, -2.f, -3.f, -4.f, -6.f};
inline constexpr float kE2m1Doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// The points of codebooks (grids.h) as bytes: 8 levels a point (4 for IQ3), raised by one for IQ1.
const std::uint8_t* points_iq2_xxs();
const std::uint8_t* points_iq2_xs();
const std::uint8_t* points_iq2_s();
const std::uint8_t* points_iq3_xxs();
const std::uint8_t* points_iq3_s();
const std::uint8_t* points_iq1();

}  // namespace strata::codec
