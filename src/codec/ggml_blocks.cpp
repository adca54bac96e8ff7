// The decoders of ggml's blocks, each as docs/formats/gguf.md says, one rounding an operation.
// Plain loops over a block of fixed size, which the compiler turns into vector code.
#include "codec/ggml_blocks.h"

#include <bit>
#include <cstring>

#include "core/numbers.h"

namespace strata::codec {
namespace {

using u8 = std::uint8_t;

float half_at(const u8* p) {
  f16 value;
  std::memcpy(&value, p, 2);
  return to_float(value);
}

/// Calls decode(block, out) for each block of Bytes bytes and Weights weights.
template <std::size_t Bytes, std::size_t Weights, class Decode>
void for_blocks(const std::byte* in, std::size_t blocks, float* out, Decode decode) {
  for (std::size_t b = 0; b < blocks; ++b) decode(reinterpret_cast<const u8*>(in) + b * Bytes, out + b * Weights);
}

/// The 32 codes of a Q4_x block: low nibbles first, then the high ones.
void nibbles(const u8* packed, int* codes) {
  for (std::size_t i = 0; i < 16; ++i) {
    codes[i] = packed[i] & 15;
    codes[i + 16] = packed[i] >> 4;
  }
}

/// The 32 codes of a Q5_x block: nibbles, and bit i of `high` as the fifth bit of code i.
void five_bits(const u8* high, const u8* packed, int* codes) {
  std::uint32_t bits;
  std::memcpy(&bits, high, 4);
  nibbles(packed, codes);
  for (std::uint32_t i = 0; i < 32; ++i) codes[i] |= static_cast<int>(((bits >> i) & 1u) << 4);
}

/// Scale and min of the groups of a Q4_K or Q5_K block: 6 bits each, in 12 bytes.
void scales_and_mins(const u8* s, float* scales, float* mins) {
  for (std::size_t j = 0; j < 4; ++j) {
    scales[j] = static_cast<float>(s[j] & 63);
    mins[j] = static_cast<float>(s[j + 4] & 63);
    scales[j + 4] = static_cast<float>((s[j + 8] & 15) | ((s[j] >> 6) << 4));
    mins[j + 4] = static_cast<float>((s[j + 8] >> 4) | ((s[j + 4] >> 6) << 4));
  }
}

/// 6-bit codes, less 32, of the sixteen groups of a Q3_K block: low four bits, then the high two.
void q3_k_scales(const u8* s, float d, float* scales) {
  for (std::size_t k = 0; k < 16; ++k) {
    const int low = k < 8 ? s[k] & 15 : s[k - 8] >> 4, high = (s[8 + k % 4] >> (2 * (k / 4))) & 3;
    scales[k] = d * static_cast<float>((low | high << 4) - 32);
  }
}

/// The values of E2M1, times two.
constexpr float kE2m1Doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

void iq4_levels(const u8* packed, float scale, float* w) {
  for (std::size_t i = 0; i < 16; ++i) {
    w[i] = scale * kIq4Levels[packed[i] & 15];
    w[i + 16] = scale * kIq4Levels[packed[i] >> 4];
  }
}

}  // namespace

void decode_f32(const std::byte* in, std::size_t count, float* out) { std::memcpy(out, in, count * sizeof(float)); }

void decode_f16(const std::byte* in, std::size_t count, float* out) {
  // Exponent and mantissa moved into place, then scaled by 2^112 to move the bias: exact, subnormals included.
  for (std::size_t i = 0; i < count; ++i) {
    std::uint16_t half;
    std::memcpy(&half, in + 2 * i, 2);
    const std::uint32_t magnitude = half & 0x7FFFu;
    const float finite = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
    const std::uint32_t bits =
        magnitude >= 0x7C00u ? (magnitude << 13) | 0x7F800000u : std::bit_cast<std::uint32_t>(finite);
    out[i] = std::bit_cast<float>(bits | (static_cast<std::uint32_t>(half & 0x8000u) << 16));
  }
}

void decode_bf16(const std::byte* in, std::size_t count, float* out) {
  for (std::size_t i = 0; i < count; ++i) {
    bf16 value;
    std::memcpy(&value, in + 2 * i, 2);
    out[i] = to_float(value);
  }
}

void decode_q8_0(const std::byte* in, std::size_t blocks, float* out) {
  for_blocks<34, 32>(in, blocks, out, [](const u8* block, float* w) {
    const float d = half_at(block);
    for (std::size_t i = 0; i < 32; ++i) w[i] = static_cast<float>(static_cast<std::int8_t>(block[2 + i])) * d;
  });
}

void decode_q4_0(const std::byte* in, std::size_t blocks, float* out) {
  for_blocks<18, 32>(in, blocks, out, [](const u8* block, float* w) {
    const float d = half_at(block);
    int codes[32];
    nibbles(block + 2, codes);
    for (std::size_t i = 0; i < 32; ++i) w[i] = d * static_cast<float>(codes[i] - 8);
  });
}

void decode_q4_1(const std::byte* in, std::size_t blocks, float* out) {
  for_blocks<20, 32>(in, blocks, out, [](const u8* block, float* w) {
    const float d = half_at(block), m = half_at(block + 2);
    int codes[32];
    nibbles(block + 4, codes);
    for (std::size_t i = 0; i < 32; ++i) w[i] = d * static_cast<float>(codes[i]) + m;
  });
}

void decode_q5_0(const std::byte* in, std::size_t blocks, float* out) {
  for_blocks<22, 32>(in, blocks, out, [](const u8* block, float* w) {
    const float d = half_at(block);
    int codes[32];
    five_bits(block + 2, block + 6, codes);
    for (std::size_t i = 0; i < 32; ++i) w[i] = d * static_cast<float>(codes[i] - 16);
  });
}

void decode_q5_1(const std::byte* in, std::size_t blocks, float* out) {
  for_blocks<24, 32>(in, blocks, out, [](const u8* block, float* w) {
    const float d = half_at(block), m = half_at(block + 2);
    int codes[32];
    five_bits(block + 4, block + 8, codes);
    for (std::size_t i = 0; i < 32; ++i) w[i] = d * static_cast<float>(codes[i]) + m;
  });
}

void decode_q4_k(const std::byte* in, std::size_t blocks, float* out) {
  for_blocks<144, 256>(in, blocks, out, [](const u8* block, float* w) {
    const float d = half_at(block), dmin = half_at(block + 2);
    float scales[8], mins[8];
    scales_and_mins(block + 4, scales, mins);
    for (std::size_t pair = 0; pair < 4; ++pair) {
      const u8* q = block + 16 + 32 * pair;
      const float low = d * scales[2 * pair], low_min = dmin * mins[2 * pair];
      const float high = d * scales[2 * pair + 1], high_min = dmin * mins[2 * pair + 1];
      for (std::size_t i = 0; i < 32; ++i) w[64 * pair + i] = low * static_cast<float>(q[i] & 15) - low_min;
      for (std::size_t i = 0; i < 32; ++i) w[64 * pair + 32 + i] = high * static_cast<float>(q[i] >> 4) - high_min;
    }
  });
}

void decode_q5_k(const std::byte* in, std::size_t blocks, float* out) {
  for_blocks<176, 256>(in, blocks, out, [](const u8* block, float* w) {
    const float d = half_at(block), dmin = half_at(block + 2);
    float scales[8], mins[8];
    scales_and_mins(block + 4, scales, mins);
    const u8* fifth = block + 16;
    for (std::size_t group = 0; group < 8; ++group) {
      const u8* q = block + 48 + 32 * (group / 2);
      const std::size_t shift = 4 * (group % 2);
      const float scale = d * scales[group], min = dmin * mins[group];
      for (std::size_t i = 0; i < 32; ++i) {
        const int code = ((q[i] >> shift) & 15) | (((fifth[i] >> group) & 1) << 4);
        w[32 * group + i] = scale * static_cast<float>(code) - min;
      }
    }
  });
}

void decode_q6_k(const std::byte* in, std::size_t blocks, float* out) {
  for_blocks<210, 256>(in, blocks, out, [](const u8* block, float* w) {
    const float d = half_at(block + 208);
    for (std::size_t part = 0; part < 8; ++part) {  // 32 weights each; four parts share 64 low and 32 high bytes
      const u8* low = block + 64 * (part / 4) + 32 * (part % 2);
      const u8* high = block + 128 + 32 * (part / 4);
      const u8* scales = block + 192 + 2 * part;
      const std::size_t low_shift = 4 * (part % 4 / 2), high_shift = 2 * (part % 4);
      for (std::size_t half = 0; half < 2; ++half) {
        const float scale = d * static_cast<float>(static_cast<std::int8_t>(scales[half]));
        for (std::size_t i = 16 * half; i < 16 * half + 16; ++i) {
          const int code = ((low[i] >> low_shift) & 15) | (((high[i] >> high_shift) & 3) << 4);
          w[32 * part + i] = scale * static_cast<float>(code - 32);
        }
      }
    }
  });
}

void decode_q2_k(const std::byte* in, std::size_t blocks, float* out) {
  for_blocks<84, 256>(in, blocks, out, [](const u8* block, float* w) {
    const float d = half_at(block + 80), dmin = half_at(block + 82);
    for (std::size_t group = 0; group < 16; ++group) {
      const float scale = d * static_cast<float>(block[group] & 15), min = dmin * static_cast<float>(block[group] >> 4);
      const u8* q = block + 16 + 32 * (group / 8) + 16 * (group % 2);
      const std::size_t shift = 2 * (group % 8 / 2);
      for (std::size_t i = 0; i < 16; ++i) w[16 * group + i] = scale * static_cast<float>((q[i] >> shift) & 3) - min;
    }
  });
}

void decode_q3_k(const std::byte* in, std::size_t blocks, float* out) {
  for_blocks<110, 256>(in, blocks, out, [](const u8* block, float* w) {
    float scales[16];
    q3_k_scales(block + 96, half_at(block + 108), scales);
    for (std::size_t group = 0; group < 16; ++group) {
      const u8* q = block + 32 + 32 * (group / 8) + 16 * (group % 2);
      const u8* high = block + 16 * (group % 2);
      const std::size_t shift = 2 * (group % 8 / 2), bit = group / 2;
      for (std::size_t i = 0; i < 16; ++i) {
        const int code = ((q[i] >> shift) & 3) | (((high[i] >> bit) & 1) << 2);
        w[16 * group + i] = scales[group] * static_cast<float>(code - 4);
      }
    }
  });
}

void decode_iq4_nl(const std::byte* in, std::size_t blocks, float* out) {
  for_blocks<18, 32>(in, blocks, out, [](const u8* block, float* w) { iq4_levels(block + 2, half_at(block), w); });
}

void decode_iq4_xs(const std::byte* in, std::size_t blocks, float* out) {
  for_blocks<136, 256>(in, blocks, out, [](const u8* block, float* w) {
    const float d = half_at(block);
    const int high = block[2] | block[3] << 8;
    for (std::size_t group = 0; group < 8; ++group) {
      const int code = ((block[4 + group / 2] >> (4 * (group % 2))) & 15) | (((high >> (2 * group)) & 3) << 4);
      iq4_levels(block + 8 + 16 * group, d * static_cast<float>(code - 32), w + 32 * group);
    }
  });
}

/// Five digits to base 3 are a byte b = ceil(number * 256 / 243); the digit times 3^k in front is (b * 3^k mod 256) * 3
/// / 256.
void decode_tq1_0(const std::byte* in, std::size_t blocks, float* out) {
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

void decode_tq2_0(const std::byte* in, std::size_t blocks, float* out) {
  for_blocks<66, 256>(in, blocks, out, [](const u8* block, float* w) {
    const float d = half_at(block + 64);
    for (std::size_t part = 0; part < 8; ++part)
      for (std::size_t i = 0; i < 32; ++i) {
        const int code = block[32 * (part / 4) + i] >> (2 * (part % 4)) & 3;
        w[32 * part + i] = d * static_cast<float>(code - 1);
      }
  });
}

void decode_mxfp4(const std::byte* in, std::size_t blocks, float* out) {
  for_blocks<17, 32>(in, blocks, out, [](const u8* block, float* w) {
    // Half of 2^(e - 127), as the levels are doubled; the smallest two are subnormal.
    const std::uint32_t e = block[0];
    const float half = std::bit_cast<float>(e < 2 ? 0x00200000u << e : (e - 1) << 23);
    for (std::size_t i = 0; i < 16; ++i) {
      w[i] = half * kE2m1Doubled[block[1 + i] & 15];
      w[i + 16] = half * kE2m1Doubled[block[1 + i] >> 4];
    }
  });
}

void decode_nvfp4(const std::byte* in, std::size_t blocks, float* out) {
  for_blocks<36, 64>(in, blocks, out, [](const u8* block, float* w) {
    for (std::size_t group = 0; group < 4; ++group) {
      const unsigned code = block[group], exponent = code >> 3 & 15u, mantissa = code & 7u;
      const float unit = exponent == 0 ? 0x1p-9f : std::bit_cast<float>((exponent + 117u) << 23);
      const bool none = code == 0 || code == 0x7F;
      const float scale = none ? 0.0f : unit * static_cast<float>(exponent == 0 ? mantissa : 8 + mantissa) * 0.5f;
      for (std::size_t i = 0; i < 8; ++i) {
        w[16 * group + i] = scale * kE2m1Doubled[block[4 + 8 * group + i] & 15];
        w[16 * group + 8 + i] = scale * kE2m1Doubled[block[4 + 8 * group + i] >> 4];
      }
    }
  });
}

}  // namespace strata::codec
