// Storing and loading of single numbers and codes, byte by byte: the specification that the row kernels are tested
// against. All stored numbers are little-endian.
#include "codec/family.h"

#include <cmath>
#include <cstring>

#include "core/numbers.h"

namespace strata::codec {

float storable_scale(float scale) {
  const float rounded = round_bf16(scale);
  if (rounded == 0.0f) return 1.0f;
  return std::isfinite(rounded) ? rounded : 0x1.FEp127f;
}

Range range_of(std::span<const float> weights) {
  Range range;
  for (const float w : weights) {
    range.low = w < range.low ? w : range.low;
    range.high = w > range.high ? w : range.high;
  }
  return range;
}

void flip_top_bits(const unsigned char* __restrict in, std::size_t count, unsigned char* __restrict out) {
  for (std::size_t i = 0; i < count; ++i) out[i] = in[i] ^ 0x80u;
}

void store_bf16(unsigned char* part, std::size_t index, float value) {
  const bf16 rounded = to_bf16(value);
  std::memcpy(part + 2 * index, &rounded, 2);
}

float load_bf16(const unsigned char* part, std::size_t index) {
  bf16 value;
  std::memcpy(&value, part + 2 * index, 2);
  return to_float(value);
}

void store_f32(unsigned char* part, std::size_t index, float value) { std::memcpy(part + 4 * index, &value, 4); }

float load_f32(const unsigned char* part, std::size_t index) {
  float value;
  std::memcpy(&value, part + 4 * index, 4);
  return value;
}

void store_i64(unsigned char* part, std::size_t index, std::int64_t value) { std::memcpy(part + 8 * index, &value, 8); }

void store_code(unsigned char* stream, std::size_t index, unsigned bits, unsigned code) {
  for (unsigned bit = 0; bit < bits; ++bit) {
    const std::size_t at = index * bits + bit;
    const unsigned mask = 1u << (at % 8);
    stream[at / 8] =
        static_cast<unsigned char>((code >> bit & 1u) != 0 ? stream[at / 8] | mask : stream[at / 8] & ~mask);
  }
}

unsigned load_code(const unsigned char* stream, std::size_t index, unsigned bits) {
  unsigned code = 0;
  for (unsigned bit = 0; bit < bits; ++bit) {
    const std::size_t at = index * bits + bit;
    code |= (stream[at / 8] >> (at % 8) & 1u) << bit;
  }
  return code;
}

}  // namespace strata::codec
