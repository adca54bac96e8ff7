// The table of ggml types and the decoders of the readable ones, each as its page says, one rounding an operation.
// Plain loops over a block of fixed size, which the compiler turns into vector code.
#include "format/ggml_types.h"

#include <array>
#include <cstring>

#include "core/checked.h"
#include "core/error.h"
#include "core/numbers.h"

namespace strata::format {
namespace {

using u8 = std::uint8_t;

float half_at(const u8* p) {
  f16 value;
  std::memcpy(&value, p, 2);
  return to_float(value);
}

void dequantize_f32(const std::byte* in, std::size_t count, float* out) { std::memcpy(out, in, count * sizeof(float)); }

void dequantize_f16(const std::byte* in, std::size_t count, float* out) {
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

void dequantize_bf16(const std::byte* in, std::size_t count, float* out) {
  for (std::size_t i = 0; i < count; ++i) {
    bf16 value;
    std::memcpy(&value, in + 2 * i, 2);
    out[i] = to_float(value);
  }
}

/// Calls decode(block, out) for each block of Bytes bytes and Weights weights.
template <std::size_t Bytes, std::size_t Weights, class Decode>
void for_blocks(const std::byte* in, std::size_t blocks, float* out, Decode decode) {
  for (std::size_t b = 0; b < blocks; ++b) decode(reinterpret_cast<const u8*>(in) + b * Bytes, out + b * Weights);
}

void dequantize_q8_0(const std::byte* in, std::size_t blocks, float* out) {
  for_blocks<34, 32>(in, blocks, out, [](const u8* block, float* w) {
    const float d = half_at(block);
    for (std::size_t i = 0; i < 32; ++i) w[i] = static_cast<float>(static_cast<std::int8_t>(block[2 + i])) * d;
  });
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

void dequantize_q4_0(const std::byte* in, std::size_t blocks, float* out) {
  for_blocks<18, 32>(in, blocks, out, [](const u8* block, float* w) {
    const float d = half_at(block);
    int codes[32];
    nibbles(block + 2, codes);
    for (std::size_t i = 0; i < 32; ++i) w[i] = d * static_cast<float>(codes[i] - 8);
  });
}

void dequantize_q4_1(const std::byte* in, std::size_t blocks, float* out) {
  for_blocks<20, 32>(in, blocks, out, [](const u8* block, float* w) {
    const float d = half_at(block), m = half_at(block + 2);
    int codes[32];
    nibbles(block + 4, codes);
    for (std::size_t i = 0; i < 32; ++i) w[i] = d * static_cast<float>(codes[i]) + m;
  });
}

void dequantize_q5_0(const std::byte* in, std::size_t blocks, float* out) {
  for_blocks<22, 32>(in, blocks, out, [](const u8* block, float* w) {
    const float d = half_at(block);
    int codes[32];
    five_bits(block + 2, block + 6, codes);
    for (std::size_t i = 0; i < 32; ++i) w[i] = d * static_cast<float>(codes[i] - 16);
  });
}

void dequantize_q5_1(const std::byte* in, std::size_t blocks, float* out) {
  for_blocks<24, 32>(in, blocks, out, [](const u8* block, float* w) {
    const float d = half_at(block), m = half_at(block + 2);
    int codes[32];
    five_bits(block + 4, block + 8, codes);
    for (std::size_t i = 0; i < 32; ++i) w[i] = d * static_cast<float>(codes[i]) + m;
  });
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

void dequantize_q4_k(const std::byte* in, std::size_t blocks, float* out) {
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

void dequantize_q5_k(const std::byte* in, std::size_t blocks, float* out) {
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

void dequantize_q6_k(const std::byte* in, std::size_t blocks, float* out) {
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

/// By rising number. Sizes as in ggml's type traits and the gguf package's GGML_QUANT_SIZES.
constexpr std::array<GgmlType, 34> kTypes{{
    {0, "F32", 1, 4, dequantize_f32},
    {1, "F16", 1, 2, dequantize_f16},
    {2, "Q4_0", 32, 18, dequantize_q4_0},
    {3, "Q4_1", 32, 20, dequantize_q4_1},
    {6, "Q5_0", 32, 22, dequantize_q5_0},
    {7, "Q5_1", 32, 24, dequantize_q5_1},
    {8, "Q8_0", 32, 34, dequantize_q8_0},
    {9, "Q8_1", 32, 40, nullptr},
    {10, "Q2_K", 256, 84, nullptr},
    {11, "Q3_K", 256, 110, nullptr},
    {12, "Q4_K", 256, 144, dequantize_q4_k},
    {13, "Q5_K", 256, 176, dequantize_q5_k},
    {14, "Q6_K", 256, 210, dequantize_q6_k},
    {15, "Q8_K", 256, 292, nullptr},
    {16, "IQ2_XXS", 256, 66, nullptr},
    {17, "IQ2_XS", 256, 74, nullptr},
    {18, "IQ3_XXS", 256, 98, nullptr},
    {19, "IQ1_S", 256, 50, nullptr},
    {20, "IQ4_NL", 32, 18, nullptr},
    {21, "IQ3_S", 256, 110, nullptr},
    {22, "IQ2_S", 256, 82, nullptr},
    {23, "IQ4_XS", 256, 136, nullptr},
    {24, "I8", 1, 1, nullptr},
    {25, "I16", 1, 2, nullptr},
    {26, "I32", 1, 4, nullptr},
    {27, "I64", 1, 8, nullptr},
    {28, "F64", 1, 8, nullptr},
    {29, "IQ1_M", 256, 56, nullptr},
    {30, "BF16", 1, 2, dequantize_bf16},
    {34, "TQ1_0", 256, 54, nullptr},
    {35, "TQ2_0", 256, 66, nullptr},
    {39, "MXFP4", 32, 17, nullptr},
    {40, "NVFP4", 64, 36, nullptr},
    {41, "Q1_0", 128, 18, nullptr},
}};

std::string readable_names() {
  std::string names;
  for (const GgmlType& type : kTypes)
    if (type.dequantize != nullptr) names += (names.empty() ? "" : " ") + std::string(type.name);
  return names;
}

}  // namespace

const GgmlType* find_ggml_type(std::uint32_t number) {
  for (const GgmlType& type : kTypes)
    if (type.number == number) return &type;
  return nullptr;
}

std::string ggml_type_name(std::uint32_t number) {
  const GgmlType* type = find_ggml_type(number);
  return type != nullptr ? type->name : fmt::format("type {}", number);
}

bool ggml_type_readable(std::uint32_t number) {
  const GgmlType* type = find_ggml_type(number);
  return type != nullptr && type->dequantize != nullptr;
}

std::uint64_t ggml_row_bytes(std::uint32_t number, std::uint64_t cols, const std::string& where) {
  const GgmlType* type = find_ggml_type(number);
  if (type == nullptr || type->dequantize == nullptr)
    fail("{}: the tensor type {} cannot be read; use a file of the types {}", where, ggml_type_name(number),
         readable_names());
  if (cols % type->block_weights != 0)
    fail("{}: {} columns are not a multiple of {}'s block of {}", where, cols, type->name, type->block_weights);
  const auto bytes = multiply(cols / type->block_weights, type->block_bytes);
  if (!bytes) fail("{}: a row of {} columns does not fit in 64 bits", where, cols);
  return *bytes;
}

void ggml_dequantize_row(std::uint32_t number, const std::byte* row, std::size_t cols, float* out) {
  const GgmlType* type = find_ggml_type(number);
  STRATA_CHECK(type != nullptr && type->dequantize != nullptr && cols % type->block_weights == 0, "{}, {} columns",
               ggml_type_name(number), cols);
  type->dequantize(row, cols / type->block_weights, out);
}

}  // namespace strata::format
