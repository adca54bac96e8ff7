// Codes and scales of GGUF types as bits: the inverse of unpack_blocks_inl.h.
// Where the bits lie: docs/formats/gguf.md.
#include <cstring>

#include "codec/ggml/ggml.h"
#include "core/numbers.h"

namespace strata::codec {
namespace {

using u8 = std::uint8_t;

void store_half(float value, unsigned char* p) {
  const f16 half = to_f16(value);
  std::memcpy(p, &half, 2);
}

u8 byte(unsigned value) { return static_cast<u8>(value); }

void store_nibbles(const u8* codes, unsigned char* out) {
  for (std::size_t i = 0; i < 16; ++i) out[i] = byte((codes[i] & 15u) | (codes[i + 16] & 15u) << 4);
}

void store_five_bits(const u8* codes, unsigned char* high, unsigned char* low) {
  std::uint32_t bits = 0;
  for (std::uint32_t i = 0; i < 32; ++i) bits |= static_cast<std::uint32_t>(codes[i] >> 4) << i;
  std::memcpy(high, &bits, 4);
  store_nibbles(codes, low);
}

/// Two bits a code: four stretches of 32 weights share 32 bytes, twice.
void store_pairs(const u8* codes, unsigned char* out) {
  for (std::size_t half = 0; half < 2; ++half)
    for (std::size_t i = 0; i < 32; ++i) {
      unsigned packed = 0;
      for (std::size_t part = 0; part < 4; ++part) packed |= (codes[128 * half + 32 * part + i] & 3u) << (2 * part);
      out[32 * half + i] = byte(packed);
    }
}

/// One bit a code: bit g of byte i is bit `bit` of code 32 g + i.
void store_bit(const u8* codes, unsigned bit, unsigned char* out) {
  for (std::size_t i = 0; i < 32; ++i) {
    unsigned packed = 0;
    for (std::size_t g = 0; g < 8; ++g) packed |= ((codes[32 * g + i] >> bit) & 1u) << g;
    out[i] = byte(packed);
  }
}

/// Nibbles of 64 weights share 32 bytes: low ones first.
void store_k_nibbles(const u8* codes, unsigned char* out) {
  for (std::size_t pair = 0; pair < 4; ++pair)
    for (std::size_t i = 0; i < 32; ++i)
      out[32 * pair + i] = byte((codes[64 * pair + i] & 15u) | (codes[64 * pair + 32 + i] & 15u) << 4);
}

/// Digits to base 3, the first of `digits` the highest of five, as the byte ceil(number * 256 / 243); code i of a digit
/// lies `stride` after the one before it.
u8 ternary_byte(const u8* codes, std::size_t digits, std::size_t stride) {
  unsigned number = 0;
  for (std::size_t k = 0; k < 5; ++k) number = 3 * number + (k < digits ? codes[k * stride] : 0u);
  return byte((number * 256 + 242) / 243);
}

}  // namespace

void store_codes_q8_0(const u8* codes, unsigned char* block) {
  for (std::size_t i = 0; i < 32; ++i) block[2 + i] = byte(static_cast<unsigned>(codes[i]) - 127u);
}
void store_codes_q4_0(const u8* codes, unsigned char* block) { store_nibbles(codes, block + 2); }
void store_codes_q4_1(const u8* codes, unsigned char* block) { store_nibbles(codes, block + 4); }
void store_codes_q5_0(const u8* codes, unsigned char* block) { store_five_bits(codes, block + 2, block + 6); }
void store_codes_q5_1(const u8* codes, unsigned char* block) { store_five_bits(codes, block + 4, block + 8); }
void store_codes_q2_k(const u8* codes, unsigned char* block) { store_pairs(codes, block + 16); }

void store_codes_q3_k(const u8* codes, unsigned char* block) {
  store_bit(codes, 2, block);
  store_pairs(codes, block + 32);
}

void store_codes_q4_k(const u8* codes, unsigned char* block) { store_k_nibbles(codes, block + 16); }

void store_codes_q5_k(const u8* codes, unsigned char* block) {
  store_bit(codes, 4, block + 16);
  store_k_nibbles(codes, block + 48);
}

void store_codes_q6_k(const u8* codes, unsigned char* block) {
  for (std::size_t half = 0; half < 2; ++half) {
    const u8* c = codes + 128 * half;
    for (std::size_t i = 0; i < 64; ++i) block[64 * half + i] = byte((c[i] & 15u) | (c[i + 64] & 15u) << 4);
    for (std::size_t i = 0; i < 32; ++i)
      block[128 + 32 * half + i] =
          byte((c[i] >> 4 & 3u) | (c[i + 32] >> 4 & 3u) << 2 | (c[i + 64] >> 4 & 3u) << 4 | (c[i + 96] >> 4 & 3u) << 6);
  }
}

void store_codes_iq4_xs(const u8* codes, unsigned char* block) {
  for (std::size_t g = 0; g < 8; ++g) store_nibbles(codes + 32 * g, block + 8 + 16 * g);
}

void store_codes_tq2_0(const u8* codes, unsigned char* block) { store_pairs(codes, block); }

void store_codes_tq1_0(const u8* codes, unsigned char* block) {
  for (std::size_t i = 0; i < 32; ++i) block[i] = ternary_byte(codes + i, 5, 32);
  for (std::size_t i = 0; i < 16; ++i) block[32 + i] = ternary_byte(codes + 160 + i, 5, 16);
  for (std::size_t i = 0; i < 4; ++i) block[48 + i] = ternary_byte(codes + 240 + i, 4, 4);
}

void store_scale_tq2_0(const GroupParams* groups, unsigned char* block) { store_half(groups->scale, block + 64); }
void store_scale_tq1_0(const GroupParams* groups, unsigned char* block) { store_half(groups->scale, block + 52); }

void store_scale(const GroupParams* groups, unsigned char* block) { store_half(groups->scale, block); }

void store_scale_and_min(const GroupParams* groups, unsigned char* block) {
  store_half(groups->scale, block);
  store_half(0.0f - groups->min, block + 2);
}

void store_groups_q2_k(const GroupParams* groups, unsigned char* block) {
  for (std::size_t g = 0; g < 16; ++g)
    block[g] = byte((static_cast<unsigned>(groups[g].scale_code) & 15u) |
                    (static_cast<unsigned>(groups[g].min_code) & 15u) << 4);
  store_half(groups->super_scale, block + 80);
  store_half(groups->super_min, block + 82);
}

void store_groups_q3_k(const GroupParams* groups, unsigned char* block) {
  unsigned char* const s = block + 96;
  std::memset(s, 0, 12);
  for (std::size_t k = 0; k < 16; ++k) {
    const auto code = static_cast<unsigned>(groups[k].scale_code + 32);
    s[k % 8] = byte(s[k % 8] | (code & 15u) << (k < 8 ? 0 : 4));
    s[8 + k % 4] = byte(s[8 + k % 4] | (code >> 4 & 3u) << (2 * (k / 4)));
  }
  store_half(groups->super_scale, block + 108);
}

void store_groups_q45_k(const GroupParams* groups, unsigned char* block) {
  store_half(groups->super_scale, block);
  store_half(groups->super_min, block + 2);
  unsigned char* const s = block + 4;
  for (std::size_t g = 0; g < 4; ++g) {
    const auto scale = static_cast<unsigned>(groups[g].scale_code), min = static_cast<unsigned>(groups[g].min_code);
    const auto scale4 = static_cast<unsigned>(groups[g + 4].scale_code);
    const auto min4 = static_cast<unsigned>(groups[g + 4].min_code);
    s[g] = byte((scale & 63u) | (scale4 >> 4 & 3u) << 6);
    s[g + 4] = byte((min & 63u) | (min4 >> 4 & 3u) << 6);
    s[g + 8] = byte((scale4 & 15u) | (min4 & 15u) << 4);
  }
}

void store_groups_q6_k(const GroupParams* groups, unsigned char* block) {
  for (std::size_t g = 0; g < 16; ++g) block[192 + g] = byte(static_cast<unsigned>(groups[g].scale_code));
  store_half(groups->super_scale, block + 208);
}

void store_groups_iq4_xs(const GroupParams* groups, unsigned char* block) {
  store_half(groups->super_scale, block);
  std::memset(block + 2, 0, 6);
  for (std::size_t g = 0; g < 8; ++g) {
    const auto code = static_cast<unsigned>(groups[g].scale_code + 32);
    block[4 + g / 2] = byte(block[4 + g / 2] | (code & 15u) << (4 * (g % 2)));
    block[2 + g / 4] = byte(block[2 + g / 4] | (code >> 4 & 3u) << (2 * (g % 4)));
  }
}

}  // namespace strata::codec
