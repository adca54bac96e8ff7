// Codes and scales of the codebook types as bits: the inverse of unpack_grids_inl.h.
// Where the bits lie: docs/formats/gguf.md. Codes that are no point of the grid are a bug of the caller.
#include <cstring>

#include "codec/ggml/vectors.h"
#include "core/error.h"
#include "core/numbers.h"

namespace strata::codec {
namespace {

using u8 = std::uint8_t;

u8 byte(std::size_t value) { return static_cast<u8>(value); }

void store_half(float value, unsigned char* p) {
  const f16 half = to_f16(value);
  std::memcpy(p, &half, 2);
}

std::size_t point_of(const Grid& grid, const u8* codes) {
  u8 indices[8];
  for (std::size_t i = 0; i < grid.dims(); ++i) indices[i] = codes[i] & 7u;
  const std::size_t point = grid.find(indices);
  STRATA_CHECK(point < grid.size(), "codes that are no point of the grid of {}", grid.size());
  return point;
}

/// Bit i: code i is negative.
std::size_t signs_of(const u8* codes) {
  std::size_t signs = 0;
  for (std::size_t i = 0; i < 8; ++i) signs |= (codes[i] & VectorType::kNegative) != 0 ? std::size_t{1} << i : 0;
  return signs;
}

/// Signs of four vectors of 8, seven bits each, in 28 bits; the four above them stay.
void store_signs(const u8* codes, unsigned char* out) {
  std::uint32_t word;
  std::memcpy(&word, out, 4);
  word &= 0xF0000000u;
  for (std::size_t k = 0; k < 4; ++k) word |= static_cast<std::uint32_t>(signs_of(codes + 8 * k) & 127u) << (7 * k);
  std::memcpy(out, &word, 4);
}

/// The scale codes of eight groups, each in the high nibble of the fourth byte of its word of signs.
void store_above_signs(const GroupParams* groups, unsigned char* words, std::size_t stride) {
  for (std::size_t g = 0; g < 8; ++g, words += stride)
    words[3] = byte((words[3] & 15u) | static_cast<std::size_t>(groups[g].scale_code) << 4);
}

/// Scale codes of `count` pairs of groups, the first of a pair in the low nibble.
void store_nibbles(const GroupParams* groups, std::size_t count, unsigned char* out) {
  for (std::size_t i = 0; i < count; ++i)
    out[i] = byte(static_cast<std::size_t>(groups[2 * i].scale_code) |
                  static_cast<std::size_t>(groups[2 * i + 1].scale_code) << 4);
}

}  // namespace

void store_codes_iq2_xxs(const u8* codes, unsigned char* block) {
  for (std::size_t g = 0; g < 8; ++g) {
    unsigned char* const out = block + 2 + 8 * g;
    for (std::size_t k = 0; k < 4; ++k) out[k] = byte(point_of(grid_iq2_xxs(), codes + 32 * g + 8 * k));
    store_signs(codes + 32 * g, out + 4);
  }
}

void store_codes_iq2_xs(const u8* codes, unsigned char* block) {
  for (std::size_t v = 0; v < 32; ++v) {
    const std::size_t word = point_of(grid_iq2_xs(), codes + 8 * v) | (signs_of(codes + 8 * v) & 127u) << 9;
    block[2 + 2 * v] = byte(word & 255u);
    block[3 + 2 * v] = byte(word >> 8);
  }
}

void store_codes_iq2_s(const u8* codes, unsigned char* block) {
  std::memset(block + 66, 0, 8);
  for (std::size_t v = 0; v < 32; ++v) {
    const std::size_t point = point_of(grid_iq2_s(), codes + 8 * v);
    block[2 + v] = byte(point & 255u);
    block[34 + v] = byte(signs_of(codes + 8 * v));
    block[66 + v / 4] = byte(block[66 + v / 4] | (point >> 8) << (2 * (v % 4)));
  }
}

void store_codes_iq3_xxs(const u8* codes, unsigned char* block) {
  for (std::size_t v = 0; v < 64; ++v) block[2 + v] = byte(point_of(grid_iq3_xxs(), codes + 4 * v));
  for (std::size_t g = 0; g < 8; ++g) store_signs(codes + 32 * g, block + 66 + 4 * g);
}

void store_codes_iq3_s(const u8* codes, unsigned char* block) {
  std::memset(block + 66, 0, 8);
  for (std::size_t v = 0; v < 64; ++v) {
    const std::size_t point = point_of(grid_iq3_s(), codes + 4 * v);
    block[2 + v] = byte(point & 255u);
    block[66 + v / 8] = byte(block[66 + v / 8] | (point >> 8) << (v % 8));
  }
  for (std::size_t v = 0; v < 32; ++v) block[74 + v] = byte(signs_of(codes + 8 * v));
}

void store_groups_iq2_xxs(const GroupParams* groups, unsigned char* block) {
  store_half(groups->super_scale, block);
  store_above_signs(groups, block + 6, 8);
}

void store_groups_iq2_xs(const GroupParams* groups, unsigned char* block) {
  store_half(groups->super_scale, block);
  store_nibbles(groups, 8, block + 66);
}

void store_groups_iq2_s(const GroupParams* groups, unsigned char* block) {
  store_half(groups->super_scale, block);
  store_nibbles(groups, 8, block + 74);
}

void store_groups_iq3_xxs(const GroupParams* groups, unsigned char* block) {
  store_half(groups->super_scale, block);
  store_above_signs(groups, block + 66, 4);
}

void store_groups_iq3_s(const GroupParams* groups, unsigned char* block) {
  store_half(groups->super_scale, block);
  store_nibbles(groups, 4, block + 106);
}

}  // namespace strata::codec
