// The decoders of ggml's blocks over the sixteen lanes of a lanes_*.h, each as docs/formats/gguf.md says, one rounding
// an operation. The codebook types are in unpack_grids_inl.h.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "codec/bits_inl.h"
#include "codec/ggml/blocks.h"

namespace strata::codec {
namespace {

using u8 = std::uint8_t;

inline std::uint32_t word_at(const u8* p) {
  std::uint16_t word;
  std::memcpy(&word, p, sizeof word);
  return word;
}
inline std::uint32_t dword_at(const u8* p) {
  std::uint32_t dword;
  std::memcpy(&dword, p, sizeof dword);
  return dword;
}

/// Exponent and mantissa moved into place, then scaled by 2^112 to move the bias: exact, subnormals included.
inline float float_of_half(std::uint32_t half) {
  const std::uint32_t magnitude = half & 0x7FFFu;
  const std::uint32_t finite = bits_of_float(float_of_bits(magnitude << 13) * 0x1p112f);
  const std::uint32_t bits = magnitude >= 0x7C00u ? (magnitude << 13) | 0x7F800000u : finite;
  return float_of_bits(bits | (half & 0x8000u) << 16);
}
inline float half_at(const u8* p) { return float_of_half(word_at(p)); }

/// Calls decode(block, out) for each block of Bytes bytes and Weights weights.
template <std::size_t Bytes, std::size_t Weights, class Decode>
inline void for_blocks(const u8* in, std::size_t blocks, float* out, Decode decode) {
  for (std::size_t b = 0; b < blocks; ++b) decode(in + b * Bytes, out + b * Weights);
}

// Codes of sixteen bytes.
inline Words low_nibbles(Words bytes) { return bytes & all_words(15); }
inline Words high_nibbles(Words bytes) { return shift_right<4>(bytes); }

/// weight = scale * (code + lowest)
inline void store_scaled(float* out, Words codes, float scale, int lowest = 0) {
  store(out, all(scale) * floats_of(codes + all_words(static_cast<std::uint32_t>(lowest))));
}
/// weight = scale * code - min
inline void store_affine(float* out, Words codes, float scale, float min_) {
  store(out, all(scale) * floats_of(codes) - all(min_));
}
/// weight = scale * table[code]; the 32 codes of a block are the low nibbles and then the high ones.
inline void store_levels(float* out, const u8* packed, float scale, const float* table) {
  const Words bytes = load_bytes(packed);
  store(out, all(scale) * look_up(table, low_nibbles(bytes)));
  store(out + 16, all(scale) * look_up(table, high_nibbles(bytes)));
}

/// Scale and min of the groups of a Q4_K or Q5_K block: 6 bits each, in 12 bytes.
inline void scales_and_mins(const u8* s, float* scales, float* mins) {
  for (std::size_t j = 0; j < 4; ++j) {
    scales[j] = static_cast<float>(s[j] & 63);
    mins[j] = static_cast<float>(s[j + 4] & 63);
    scales[j + 4] = static_cast<float>((s[j + 8] & 15) | ((s[j] >> 6) << 4));
    mins[j + 4] = static_cast<float>((s[j + 8] >> 4) | ((s[j + 4] >> 6) << 4));
  }
}

/// 6-bit codes, less 32, of the sixteen groups of a Q3_K block: low four bits, then the high two.
inline void q3_k_scales(const u8* s, float d, float* scales) {
  for (std::size_t k = 0; k < 16; ++k) {
    const int low = k < 8 ? s[k] & 15 : s[k - 8] >> 4, high = (s[8 + k % 4] >> (2 * (k / 4))) & 3;
    scales[k] = d * static_cast<float>((low | high << 4) - 32);
  }
}

/// The values of E2M1, times two.
constexpr float kE2m1Doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

void decode_f32(const u8* in, std::size_t count, float* out) { std::memcpy(out, in, count * sizeof(float)); }

void decode_f16(const u8* in, std::size_t count, float* out) {
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {  // as float_of_half
    const Words half = load_halves(in + 2 * i), magnitude = half & all_words(0x7FFFu);
    const Words shifted = shift_left<13>(magnitude), finite = bits_of(from_bits(shifted) * all(0x1p112f));
    const Words bits = select(magnitude < all_words(0x7C00u), finite, shifted | all_words(0x7F800000u));
    store(out + i, from_bits(bits | shift_left<16>(half & all_words(0x8000u))));
  }
  for (; i < count; ++i) out[i] = half_at(in + 2 * i);
}

void decode_q8_0(const u8* in, std::size_t blocks, float* out) {
  for_blocks<34, 32>(in, blocks, out, [](const u8* block, float* w) {
    for (std::size_t i = 0; i < 32; i += 16) {  // 128 added and taken away again makes bytes signed
      const Words code = (load_bytes(block + 2 + i) + all_words(128)) & all_words(255);
      store_scaled(w + i, code, half_at(block), -128);
    }
  });
}

void decode_q4_0(const u8* in, std::size_t blocks, float* out) {
  for_blocks<18, 32>(in, blocks, out, [](const u8* block, float* w) {
    const Words bytes = load_bytes(block + 2);
    store_scaled(w, low_nibbles(bytes), half_at(block), -8);
    store_scaled(w + 16, high_nibbles(bytes), half_at(block), -8);
  });
}

void decode_q4_1(const u8* in, std::size_t blocks, float* out) {
  for_blocks<20, 32>(in, blocks, out, [](const u8* block, float* w) {
    const Words bytes = load_bytes(block + 4);
    store_affine(w, low_nibbles(bytes), half_at(block), -half_at(block + 2));
    store_affine(w + 16, high_nibbles(bytes), half_at(block), -half_at(block + 2));
  });
}

void decode_q5_0(const u8* in, std::size_t blocks, float* out) {
  for_blocks<22, 32>(in, blocks, out, [](const u8* block, float* w) {
    const Words bytes = load_bytes(block + 6);
    const std::uint32_t fifth = dword_at(block + 2);
    store_scaled(w, low_nibbles(bytes) | spread_bits<4>(fifth), half_at(block), -16);
    store_scaled(w + 16, high_nibbles(bytes) | spread_bits<4>(fifth >> 16), half_at(block), -16);
  });
}

void decode_q5_1(const u8* in, std::size_t blocks, float* out) {
  for_blocks<24, 32>(in, blocks, out, [](const u8* block, float* w) {
    const Words bytes = load_bytes(block + 8);
    const std::uint32_t fifth = dword_at(block + 4);
    store_affine(w, low_nibbles(bytes) | spread_bits<4>(fifth), half_at(block), -half_at(block + 2));
    store_affine(w + 16, high_nibbles(bytes) | spread_bits<4>(fifth >> 16), half_at(block), -half_at(block + 2));
  });
}

void decode_q4_k(const u8* in, std::size_t blocks, float* out) {
  for_blocks<144, 256>(in, blocks, out, [](const u8* block, float* w) {
    const float d = half_at(block), dmin = half_at(block + 2);
    float scales[8], mins[8];
    scales_and_mins(block + 4, scales, mins);
    for (std::size_t pair = 0; pair < 8; pair += 2)
      for (std::size_t i = 0; i < 32; i += 16) {
        const Words bytes = load_bytes(block + 16 + 16 * pair + i);
        float* const low = w + 32 * pair + i;
        store_affine(low, low_nibbles(bytes), d * scales[pair], dmin * mins[pair]);
        store_affine(low + 32, high_nibbles(bytes), d * scales[pair + 1], dmin * mins[pair + 1]);
      }
  });
}

void decode_q5_k(const u8* in, std::size_t blocks, float* out) {
  for_blocks<176, 256>(in, blocks, out, [](const u8* block, float* w) {
    const float d = half_at(block), dmin = half_at(block + 2);
    float scales[8], mins[8];
    scales_and_mins(block + 4, scales, mins);
    for (std::size_t i = 0; i < 32; i += 16) {
      const Words fifth = load_bytes(block + 16 + i);
      for (unsigned group = 0; group < 8; ++group) {
        const Words bytes = load_bytes(block + 48 + 32 * (group / 2) + i);
        const Words low = shift_right(bytes, 4 * (group % 2)) & all_words(15);
        const Words high = shift_left<4>(shift_right(fifth, group) & all_words(1));
        store_affine(w + 32 * group + i, low | high, d * scales[group], dmin * mins[group]);
      }
    }
  });
}

void decode_q6_k(const u8* in, std::size_t blocks, float* out) {
  for_blocks<210, 256>(in, blocks, out, [](const u8* block, float* w) {
    const float d = half_at(block + 208);
    for (unsigned group = 0; group < 16; ++group) {  // eight groups share 64 low and 32 high bytes
      const unsigned part = group / 2 % 4;
      const std::size_t at = 16 * (group % 2);
      const Words low = load_bytes(block + 64 * (group / 8) + 32 * (part % 2) + at);
      const Words high = load_bytes(block + 128 + 32 * (group / 8) + at);
      const Words code = (shift_right(low, 4 * (part / 2)) & all_words(15)) |
                         shift_left<4>(shift_right(high, 2 * part) & all_words(3));
      store_scaled(w + 16 * group, code, d * static_cast<float>(static_cast<std::int8_t>(block[192 + group])), -32);
    }
  });
}

void decode_q2_k(const u8* in, std::size_t blocks, float* out) {
  for_blocks<84, 256>(in, blocks, out, [](const u8* block, float* w) {
    const float d = half_at(block + 80), dmin = half_at(block + 82);
    for (unsigned group = 0; group < 16; ++group) {
      const Words bytes = load_bytes(block + 16 + 32 * (group / 8) + 16 * (group % 2));
      store_affine(w + 16 * group, shift_right(bytes, 2 * (group % 8 / 2)) & all_words(3),
                   d * static_cast<float>(block[group] & 15), dmin * static_cast<float>(block[group] >> 4));
    }
  });
}

void decode_q3_k(const u8* in, std::size_t blocks, float* out) {
  for_blocks<110, 256>(in, blocks, out, [](const u8* block, float* w) {
    float scales[16];
    q3_k_scales(block + 96, half_at(block + 108), scales);
    for (unsigned group = 0; group < 16; ++group) {
      const Words low = load_bytes(block + 32 + 32 * (group / 8) + 16 * (group % 2));
      const Words high = load_bytes(block + 16 * (group % 2));
      const Words code = (shift_right(low, 2 * (group % 8 / 2)) & all_words(3)) |
                         shift_left<2>(shift_right(high, group / 2) & all_words(1));
      store_scaled(w + 16 * group, code, scales[group], -4);
    }
  });
}

void decode_iq4_nl(const u8* in, std::size_t blocks, float* out) {
  for_blocks<18, 32>(in, blocks, out,
                     [](const u8* block, float* w) { store_levels(w, block + 2, half_at(block), kIq4Levels); });
}

void decode_iq4_xs(const u8* in, std::size_t blocks, float* out) {
  for_blocks<136, 256>(in, blocks, out, [](const u8* block, float* w) {
    const float d = half_at(block);
    const std::uint32_t high = word_at(block + 2);
    for (std::size_t group = 0; group < 8; ++group) {
      const unsigned code = (block[4 + group / 2] >> (4 * (group % 2)) & 15u) | (high >> (2 * group) & 3u) << 4;
      store_levels(w + 32 * group, block + 8 + 16 * group, d * static_cast<float>(static_cast<int>(code) - 32),
                   kIq4Levels);
    }
  });
}

/// Five digits to base 3 are a byte b = ceil(number * 256 / 243); the digit times 3^k in front is (b * 3^k mod 256) * 3
/// / 256.
void decode_tq1_0(const u8* in, std::size_t blocks, float* out) {
  for_blocks<54, 256>(in, blocks, out, [](const u8* block, float* w) {
    constexpr unsigned powers[] = {1, 3, 9, 27, 81};
    const float d = half_at(block + 52);
    const auto digits = [&](const u8* bytes, std::size_t count, std::size_t each) {
      for (std::size_t k = 0; k < each; ++k)
        for (std::size_t i = 0; i < count; ++i) {
          const unsigned digit = (bytes[i] * powers[k] & 255u) * 3 >> 8;
          *w++ = d * static_cast<float>(static_cast<int>(digit) - 1);
        }
    };
    digits(block, 32, 5);
    digits(block + 32, 16, 5);
    digits(block + 48, 4, 4);
  });
}

void decode_tq2_0(const u8* in, std::size_t blocks, float* out) {
  for_blocks<66, 256>(in, blocks, out, [](const u8* block, float* w) {
    for (unsigned at = 0; at < 256; at += 16) {
      const Words bytes = load_bytes(block + 32 * (at / 128) + at % 32);
      store_scaled(w + at, shift_right(bytes, 2 * (at / 32 % 4)) & all_words(3), half_at(block + 64), -1);
    }
  });
}

void decode_mxfp4(const u8* in, std::size_t blocks, float* out) {
  for_blocks<17, 32>(in, blocks, out, [](const u8* block, float* w) {
    // Half of 2^(e - 127), as the levels are doubled; the smallest two are subnormal.
    const std::uint32_t e = block[0];
    store_levels(w, block + 1, float_of_bits(e < 2 ? 0x00200000u << e : (e - 1) << 23), kE2m1Doubled);
  });
}

void decode_nvfp4(const u8* in, std::size_t blocks, float* out) {
  for_blocks<36, 64>(in, blocks, out, [](const u8* block, float* w) {
    for (std::size_t group = 0; group < 4; ++group) {
      const unsigned code = block[group], exponent = code >> 3 & 15u, mantissa = code & 7u;
      const float unit = exponent == 0 ? 0x1p-9f : float_of_bits((exponent + 117u) << 23);
      const bool none = code == 0 || code == 0x7F;
      const float scale = none ? 0.0f : unit * static_cast<float>(exponent == 0 ? mantissa : 8 + mantissa) * 0.5f;
      std::uint64_t packed;
      std::memcpy(&packed, block + 4 + 8 * group, sizeof packed);
      constexpr std::uint64_t kNibbles = 0x0F0F0F0F0F0F0F0Fu;
      const Words codes = bytes_of(packed & kNibbles, packed >> 4 & kNibbles);
      store(w + 16 * group, all(scale) * look_up(kE2m1Doubled, codes));
    }
  });
}

}  // namespace
}  // namespace strata::codec
