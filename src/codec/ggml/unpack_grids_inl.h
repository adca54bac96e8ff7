// The decoders of ggml's codebook types (IQ1, IQ2, IQ3) over sixteen lanes, in the manner of unpack_blocks_inl.h, and
// the choice among all decoders. An index of a grid always has a point, so that any bytes decode.
#pragma once
#include "codec/ggml/unpack_blocks_inl.h"
#include "codec/rows_inl.h"

namespace strata::codec {
namespace {

/// scale = (d * (2 code + 1)) * unit.
inline float scale_of(float d, unsigned code, float unit) { return d * static_cast<float>(2 * code + 1) * unit; }

inline unsigned nibble(const u8* p, std::size_t index) { return p[index / 2] >> (4 * (index % 2)) & 15u; }

/// Eight signs from the low seven bits: the last makes their number even.
inline unsigned even_signs(unsigned seven) {
  seven &= 127u;
  const unsigned halves = seven ^ seven >> 4;
  return seven | (0x6996u >> (halves & 15u) & 1u) << 7;  // bit n of 0x6996 is the parity of n
}

/// Point `index` of a book of 8 bytes each.
inline std::uint64_t point_of_8(const u8* points, unsigned index) {
  std::uint64_t point;
  std::memcpy(&point, points + 8 * index, sizeof point);
  return point;
}
/// Two points of a book of 4 bytes each.
inline std::uint64_t points_of_4(const u8* points, unsigned first, unsigned second) {
  return dword_at(points + 4 * first) | std::uint64_t{dword_at(points + 4 * second)} << 32;
}

/// weight = scale * level, negative where a bit of `signs` is set; levels: sixteen bytes.
inline void store_signed(float* out, std::uint64_t low, std::uint64_t high, unsigned signs, float scale) {
  const Words bits = bits_of(all(scale) * floats_of(bytes_of(low, high)));
  store(out, from_bits(bits + spread_bits<31>(signs)));  // a carry out of the top bit is lost: this turns the sign
}

void decode_iq2_xxs(const u8* in, std::size_t blocks, float* out) {
  const u8* const points = points_iq2_xxs();
  for_blocks<66, 256>(in, blocks, out, [=](const u8* block, float* w) {
    for (std::size_t g = 0; g < 8; ++g) {
      const u8* const indices = block + 2 + 8 * g;
      const std::uint32_t word = dword_at(indices + 4);
      const float scale = scale_of(half_at(block), word >> 28, 0.125f);
      for (std::size_t k = 0; k < 4; k += 2)
        store_signed(w + 32 * g + 8 * k, point_of_8(points, indices[k]), point_of_8(points, indices[k + 1]),
                     even_signs(word >> (7 * k)) | even_signs(word >> (7 * k + 7)) << 8, scale);
    }
  });
}

void decode_iq2_xs(const u8* in, std::size_t blocks, float* out) {
  const u8* const points = points_iq2_xs();
  for_blocks<74, 256>(in, blocks, out, [=](const u8* block, float* w) {
    for (std::size_t g = 0; g < 16; ++g) {
      const std::uint32_t words = dword_at(block + 2 + 4 * g);
      store_signed(w + 16 * g, point_of_8(points, words & 511u), point_of_8(points, words >> 16 & 511u),
                   even_signs(words >> 9) | even_signs(words >> 25) << 8,
                   scale_of(half_at(block), nibble(block + 66, g), 0.125f));
    }
  });
}

void decode_iq2_s(const u8* in, std::size_t blocks, float* out) {
  const u8* const points = points_iq2_s();
  for_blocks<82, 256>(in, blocks, out, [=](const u8* block, float* w) {
    for (std::size_t g = 0; g < 16; ++g) {
      const unsigned high = nibble(block + 66, g);
      store_signed(w + 16 * g, point_of_8(points, block[2 + 2 * g] | (high & 3u) << 8),
                   point_of_8(points, block[3 + 2 * g] | (high >> 2) << 8), word_at(block + 34 + 2 * g),
                   scale_of(half_at(block), nibble(block + 74, g), 0.125f));
    }
  });
}

void decode_iq3_xxs(const u8* in, std::size_t blocks, float* out) {
  const u8* const points = points_iq3_xxs();
  for_blocks<98, 256>(in, blocks, out, [=](const u8* block, float* w) {
    for (std::size_t g = 0; g < 16; ++g) {
      const u8* const indices = block + 2 + 4 * g;
      const std::uint32_t word = dword_at(block + 66 + 4 * (g / 2)), signs = word >> (14 * (g % 2));
      store_signed(w + 16 * g, points_of_4(points, indices[0], indices[1]), points_of_4(points, indices[2], indices[3]),
                   even_signs(signs) | even_signs(signs >> 7) << 8, scale_of(half_at(block), word >> 28, 0.25f));
    }
  });
}

void decode_iq3_s(const u8* in, std::size_t blocks, float* out) {
  const u8* const points = points_iq3_s();
  for_blocks<110, 256>(in, blocks, out, [=](const u8* block, float* w) {
    for (std::size_t g = 0; g < 16; ++g) {
      const u8* const low = block + 2 + 4 * g;
      const unsigned high = nibble(block + 66, g);
      const auto index = [&](unsigned k) { return low[k] | (high >> k & 1u) << 8; };
      store_signed(w + 16 * g, points_of_4(points, index(0), index(1)), points_of_4(points, index(2), index(3)),
                   word_at(block + 74 + 2 * g), scale_of(half_at(block), nibble(block + 106, g / 2), 1.0f));
    }
  });
}

/// weight = scale * (level + delta), of eight weights with a delta of their own; levels are stored one higher.
inline void store_shifted(float* out, std::uint64_t low, std::uint64_t high, bool low_negative, bool high_negative,
                          float scale) {
  const Words negative = spread_bits<31>((low_negative ? 0xFFu : 0u) | (high_negative ? 0xFF00u : 0u));
  const Floats delta = from_bits(bits_of(all(0.125f)) | negative);
  store(out, all(scale) * (floats_of(bytes_of(low, high)) - all(1.0f) + delta));
}

void decode_iq1_s(const u8* in, std::size_t blocks, float* out) {
  const u8* const points = points_iq1();
  for_blocks<50, 256>(in, blocks, out, [=](const u8* block, float* w) {
    for (std::size_t g = 0; g < 16; ++g) {
      const unsigned word = word_at(block + 34 + 2 * (g / 2)), high = word >> (6 * (g % 2));
      const bool negative = (word & 0x8000u) != 0;
      store_shifted(w + 16 * g, point_of_8(points, block[2 + 2 * g] | (high & 7u) << 8),
                    point_of_8(points, block[3 + 2 * g] | (high >> 3 & 7u) << 8), negative, negative,
                    scale_of(half_at(block), word >> 12 & 7u, 1.0f));
    }
  });
}

void decode_iq1_m(const u8* in, std::size_t blocks, float* out) {
  const u8* const points = points_iq1();
  for_blocks<56, 256>(in, blocks, out, [=](const u8* block, float* w) {
    std::uint32_t d = 0;  // its nibbles are the high ones of the four words of scales
    for (std::size_t k = 0; k < 4; ++k) d |= (word_at(block + 48 + 2 * k) >> 12) << (4 * k);
    for (std::size_t g = 0; g < 16; ++g) {
      const unsigned high = block[32 + g], code = word_at(block + 48 + 2 * (g / 4)) >> (3 * (g % 4)) & 7u;
      store_shifted(w + 16 * g, point_of_8(points, block[2 * g] | (high & 7u) << 8),
                    point_of_8(points, block[2 * g + 1] | (high >> 4 & 7u) << 8), (high & 8u) != 0, (high & 128u) != 0,
                    scale_of(float_of_half(d), code, 1.0f));
    }
  });
}

void decode_blocks(BlockType type, const unsigned char* in, std::size_t blocks, float* out) {
  switch (type) {
    case BlockType::f32:
      return decode_f32(in, blocks, out);
    case BlockType::f16:
      return decode_f16(in, blocks, out);
    case BlockType::bf16:
      return widen_bf16(in, blocks, out);
    case BlockType::q8_0:
      return decode_q8_0(in, blocks, out);
    case BlockType::q4_0:
      return decode_q4_0(in, blocks, out);
    case BlockType::q4_1:
      return decode_q4_1(in, blocks, out);
    case BlockType::q5_0:
      return decode_q5_0(in, blocks, out);
    case BlockType::q5_1:
      return decode_q5_1(in, blocks, out);
    case BlockType::q6_k:
      return decode_q6_k(in, blocks, out);
    case BlockType::q5_k:
      return decode_q5_k(in, blocks, out);
    case BlockType::q4_k:
      return decode_q4_k(in, blocks, out);
    case BlockType::q3_k:
      return decode_q3_k(in, blocks, out);
    case BlockType::q2_k:
      return decode_q2_k(in, blocks, out);
    case BlockType::iq4_nl:
      return decode_iq4_nl(in, blocks, out);
    case BlockType::iq4_xs:
      return decode_iq4_xs(in, blocks, out);
    case BlockType::iq3_s:
      return decode_iq3_s(in, blocks, out);
    case BlockType::iq3_xxs:
      return decode_iq3_xxs(in, blocks, out);
    case BlockType::iq2_s:
      return decode_iq2_s(in, blocks, out);
    case BlockType::iq2_xs:
      return decode_iq2_xs(in, blocks, out);
    case BlockType::iq2_xxs:
      return decode_iq2_xxs(in, blocks, out);
    case BlockType::iq1_s:
      return decode_iq1_s(in, blocks, out);
    case BlockType::iq1_m:
      return decode_iq1_m(in, blocks, out);
    case BlockType::tq1_0:
      return decode_tq1_0(in, blocks, out);
    case BlockType::tq2_0:
      return decode_tq2_0(in, blocks, out);
    case BlockType::mxfp4:
      return decode_mxfp4(in, blocks, out);
    case BlockType::nvfp4:
      return decode_nvfp4(in, blocks, out);
  }
}

}  // namespace
}  // namespace strata::codec
