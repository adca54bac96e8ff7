// The decoders of ggml's codebook types (IQ1, IQ2, IQ3), each as docs/formats/gguf.md says, one rounding an operation.
// An index of a grid always has a point, so that any bytes decode.
#include <bit>
#include <cstring>

#include "codec/ggml_blocks.h"
#include "codec/ggml_grids.h"
#include "core/numbers.h"

namespace strata::codec {
namespace {

using u8 = std::uint8_t;

float half_of_bits(std::uint16_t bits) { return to_float(f16{bits}); }

std::uint16_t word_at(const u8* p) {
  std::uint16_t value;
  std::memcpy(&value, p, 2);
  return value;
}
std::uint32_t dword_at(const u8* p) {
  std::uint32_t value;
  std::memcpy(&value, p, 4);
  return value;
}
float half_at(const u8* p) { return half_of_bits(word_at(p)); }

/// scale = (d * (2 code + 1)) * unit.
float scale_of(float d, unsigned code, float unit) { return d * static_cast<float>(2 * code + 1) * unit; }

/// Calls decode(block, out) for each super-block of Bytes bytes.
template <std::size_t Bytes, class Decode>
void for_blocks(const std::byte* in, std::size_t blocks, float* out, Decode decode) {
  for (std::size_t b = 0; b < blocks; ++b) decode(reinterpret_cast<const u8*>(in) + b * Bytes, out + b * 256);
}

/// w[i] = scale * levels[i], negative where bit i of signs is set.
template <std::size_t Count>
void signed_levels(const float* levels, unsigned signs, float scale, float* w) {
  for (std::size_t i = 0; i < Count; ++i) {
    const std::uint32_t sign = (signs & (1u << i)) != 0 ? 0x80000000u : 0u;
    w[i] = std::bit_cast<float>(std::bit_cast<std::uint32_t>(scale * levels[i]) ^ sign);
  }
}

/// Eight signs from seven: the last makes their number even.
unsigned even_signs(unsigned seven) {
  seven &= 127u;
  return seven | static_cast<unsigned>(std::popcount(seven) & 1) << 7;
}

unsigned nibble(const u8* p, std::size_t index) { return p[index / 2] >> (4 * (index % 2)) & 15u; }

}  // namespace

void decode_iq2_xxs(const std::byte* in, std::size_t blocks, float* out) {
  const Grid& grid = grid_iq2_xxs();
  for_blocks<66>(in, blocks, out, [&](const u8* block, float* w) {
    for (std::size_t g = 0; g < 8; ++g) {
      const u8* const points = block + 2 + 8 * g;
      const std::uint32_t word = dword_at(points + 4);
      const float scale = scale_of(half_at(block), word >> 28, 0.125f);
      for (std::size_t k = 0; k < 4; ++k)
        signed_levels<8>(grid.point(points[k]), even_signs(word >> (7 * k)), scale, w + 32 * g + 8 * k);
    }
  });
}

void decode_iq2_xs(const std::byte* in, std::size_t blocks, float* out) {
  const Grid& grid = grid_iq2_xs();
  for_blocks<74>(in, blocks, out, [&](const u8* block, float* w) {
    for (std::size_t v = 0; v < 32; ++v) {
      const unsigned word = word_at(block + 2 + 2 * v);
      const float scale = scale_of(half_at(block), nibble(block + 66, v / 2), 0.125f);
      signed_levels<8>(grid.point(word & 511u), even_signs(word >> 9), scale, w + 8 * v);
    }
  });
}

void decode_iq2_s(const std::byte* in, std::size_t blocks, float* out) {
  const Grid& grid = grid_iq2_s();
  for_blocks<82>(in, blocks, out, [&](const u8* block, float* w) {
    for (std::size_t v = 0; v < 32; ++v) {
      const unsigned point = block[2 + v] | (block[66 + v / 4] >> (2 * (v % 4)) & 3u) << 8;
      const float scale = scale_of(half_at(block), nibble(block + 74, v / 2), 0.125f);
      signed_levels<8>(grid.point(point), block[34 + v], scale, w + 8 * v);
    }
  });
}

void decode_iq3_xxs(const std::byte* in, std::size_t blocks, float* out) {
  const Grid& grid = grid_iq3_xxs();
  for_blocks<98>(in, blocks, out, [&](const u8* block, float* w) {
    for (std::size_t g = 0; g < 8; ++g) {
      const std::uint32_t word = dword_at(block + 66 + 4 * g);
      const float scale = scale_of(half_at(block), word >> 28, 0.25f);
      for (std::size_t k = 0; k < 8; ++k)
        signed_levels<4>(grid.point(block[2 + 8 * g + k]), even_signs(word >> (7 * (k / 2))) >> (4 * (k % 2)), scale,
                         w + 32 * g + 4 * k);
    }
  });
}

void decode_iq3_s(const std::byte* in, std::size_t blocks, float* out) {
  const Grid& grid = grid_iq3_s();
  for_blocks<110>(in, blocks, out, [&](const u8* block, float* w) {
    for (std::size_t v = 0; v < 64; ++v) {
      const unsigned point = block[2 + v] | (block[66 + v / 8] >> (v % 8) & 1u) << 8;
      const float scale = scale_of(half_at(block), nibble(block + 106, v / 8), 1.0f);
      signed_levels<4>(grid.point(point), block[74 + v / 2] >> (4 * (v % 2)), scale, w + 4 * v);
    }
  });
}

void decode_iq1_s(const std::byte* in, std::size_t blocks, float* out) {
  const Grid& grid = grid_iq1();
  for_blocks<50>(in, blocks, out, [&](const u8* block, float* w) {
    for (std::size_t v = 0; v < 32; ++v) {
      const unsigned high = word_at(block + 34 + 2 * (v / 4));
      const float scale = scale_of(half_at(block), high >> 12 & 7u, 1.0f),
                  delta = (high & 0x8000u) != 0 ? -0.125f : 0.125f;
      const float* const levels = grid.point(block[2 + v] | (high >> (3 * (v % 4)) & 7u) << 8);
      for (std::size_t i = 0; i < 8; ++i) w[8 * v + i] = scale * (levels[i] + delta);
    }
  });
}

void decode_iq1_m(const std::byte* in, std::size_t blocks, float* out) {
  const Grid& grid = grid_iq1();
  for_blocks<56>(in, blocks, out, [&](const u8* block, float* w) {
    unsigned d = 0;  // its nibbles are the high ones of the four words of scales
    for (std::size_t k = 0; k < 4; ++k) d |= static_cast<unsigned>(word_at(block + 48 + 2 * k) >> 12) << (4 * k);
    for (std::size_t v = 0; v < 32; ++v) {
      const unsigned high = block[32 + v / 2] >> (4 * (v % 2));
      const unsigned code = word_at(block + 48 + 2 * (v / 8)) >> (3 * (v / 2 % 4)) & 7u;
      const float scale = scale_of(half_of_bits(static_cast<std::uint16_t>(d)), code, 1.0f);
      const float delta = (high & 8u) != 0 ? -0.125f : 0.125f;
      const float* const levels = grid.point(block[v] | (high & 7u) << 8);
      for (std::size_t i = 0; i < 8; ++i) w[8 * v + i] = scale * (levels[i] + delta);
    }
  });
}

}  // namespace strata::codec
