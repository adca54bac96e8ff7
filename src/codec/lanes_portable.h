// Sixteen lanes of f32 or u32 in plain C++. The other lanes_*.h give the same operations, with the same bits but for
// `fused` and `sum`.
// kernel/vector_*.h is another vocabulary for the same instruction sets: its vectors are as wide as the registers, for
// products where only speed counts. Here a lane can be a candidate of a search, so that every CPU has the same sixteen.
// Comparisons with NaN are false; min and max then give their second argument, as the x86 instructions do.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "codec/bits_inl.h"

namespace strata::codec {
namespace {

constexpr std::size_t kLanes = 16;

struct Floats {
  float v[kLanes];
};
struct Words {
  std::uint32_t v[kLanes];
};
struct Mask {
  bool v[kLanes];
};

template <class Out, class Function>
inline Out each(Function function) {
  Out out;
  for (std::size_t i = 0; i < kLanes; ++i) out.v[i] = function(i);
  return out;
}

inline Floats load(const float* in) {
  Floats out;
  std::memcpy(out.v, in, sizeof out.v);
  return out;
}
/// The lanes from `count` on are zero.
inline Floats load_part(const float* in, std::size_t count) {
  Floats out{};
  std::memcpy(out.v, in, count * sizeof(float));
  return out;
}
inline void store(float* out, Floats a) { std::memcpy(out, a.v, sizeof a.v); }
inline void store_part(float* out, std::size_t count, Floats a) { std::memcpy(out, a.v, count * sizeof(float)); }
inline Floats all(float value) {
  return each<Floats>([&](std::size_t) { return value; });
}
inline Words all_words(std::uint32_t value) {
  return each<Words>([&](std::size_t) { return value; });
}
inline Words load_bytes(const std::uint8_t* in) {
  return each<Words>([&](std::size_t i) { return std::uint32_t{in[i]}; });
}
inline Words load_halves(const unsigned char* in) {
  return each<Words>([&](std::size_t i) {
    return static_cast<std::uint32_t>(in[2 * i]) | static_cast<std::uint32_t>(in[2 * i + 1]) << 8;
  });
}
/// The bytes of two numbers, the lowest first.
inline Words bytes_of(std::uint64_t low, std::uint64_t high) {
  std::uint8_t bytes[kLanes];
  std::memcpy(bytes, &low, 8);
  std::memcpy(bytes + 8, &high, 8);
  return load_bytes(bytes);
}
/// Bytes as signed integers.
inline Words load_signed_bytes(const std::uint8_t* in) {
  return each<Words>([&](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<std::int32_t>(static_cast<std::int8_t>(in[i])));
  });
}
/// The low byte of each lane.
inline void store_bytes(std::uint8_t* out, Words a) {
  for (std::size_t i = 0; i < kLanes; ++i) out[i] = static_cast<std::uint8_t>(a.v[i]);
}

inline Floats operator+(const Floats& a, const Floats& b) {
  return each<Floats>([&](std::size_t i) { return a.v[i] + b.v[i]; });
}
inline Floats operator-(const Floats& a, const Floats& b) {
  return each<Floats>([&](std::size_t i) { return a.v[i] - b.v[i]; });
}
inline Floats operator*(const Floats& a, const Floats& b) {
  return each<Floats>([&](std::size_t i) { return a.v[i] * b.v[i]; });
}
inline Floats operator/(const Floats& a, const Floats& b) {
  return each<Floats>([&](std::size_t i) { return a.v[i] / b.v[i]; });
}
/// a * b + c, rounded once on CPUs that can.
inline Floats fused(const Floats& a, const Floats& b, const Floats& c) { return a * b + c; }
/// The sum of all lanes, in an order of the CPU's choice.
inline float sum(const Floats& a) {
  float total = 0.0f;
  for (std::size_t i = 0; i < kLanes; ++i) total += a.v[i];
  return total;
}
/// a - b * c where b * c is exact, so that it does not matter whether the product is rounded.
inline Floats subtract_exact_product(const Floats& a, const Floats& b, const Floats& c) { return a - b * c; }
inline Floats min(const Floats& a, const Floats& b) {
  return each<Floats>([&](std::size_t i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
inline Floats max(const Floats& a, const Floats& b) {
  return each<Floats>([&](std::size_t i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
inline Mask operator<(const Floats& a, const Floats& b) {
  return each<Mask>([&](std::size_t i) { return a.v[i] < b.v[i]; });
}
inline Mask is_nan(const Floats& a) {
  return each<Mask>([&](std::size_t i) { return a.v[i] != a.v[i]; });
}
inline Floats select(const Mask& mask, const Floats& a, const Floats& b) {
  return each<Floats>([&](std::size_t i) { return mask.v[i] ? a.v[i] : b.v[i]; });
}
inline Words select(const Mask& mask, const Words& a, const Words& b) {
  return each<Words>([&](std::size_t i) { return mask.v[i] ? a.v[i] : b.v[i]; });
}

/// Half to even; the magnitudes are below 2^22.
inline Floats round_even(const Floats& a) {
  return each<Floats>([&](std::size_t i) { return a.v[i] + 12582912.0f - 12582912.0f; });
}

inline Words bits_of(const Floats& a) {
  Words out;
  std::memcpy(out.v, a.v, sizeof out.v);
  return out;
}
inline Floats from_bits(const Words& a) {
  Floats out;
  std::memcpy(out.v, a.v, sizeof out.v);
  return out;
}
inline Words operator+(const Words& a, const Words& b) {
  return each<Words>([&](std::size_t i) { return a.v[i] + b.v[i]; });
}
inline Words operator-(const Words& a, const Words& b) {
  return each<Words>([&](std::size_t i) { return a.v[i] - b.v[i]; });
}
inline Words operator&(const Words& a, const Words& b) {
  return each<Words>([&](std::size_t i) { return a.v[i] & b.v[i]; });
}
inline Words operator|(const Words& a, const Words& b) {
  return each<Words>([&](std::size_t i) { return a.v[i] | b.v[i]; });
}
inline Words operator*(const Words& a, const Words& b) {
  return each<Words>([&](std::size_t i) { return a.v[i] * b.v[i]; });
}
inline Words max(const Words& a, const Words& b) {  // below 2^31
  return each<Words>([&](std::size_t i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
/// 0, 1, ... 15.
inline Words lane_numbers() {
  return each<Words>([](std::size_t i) { return static_cast<std::uint32_t>(i); });
}
/// Lanes as signed integers.
inline Floats floats_of(const Words& a) {
  return each<Floats>([&](std::size_t i) { return static_cast<float>(static_cast<std::int32_t>(a.v[i])); });
}
/// Entries of a table of 16, by lanes below 16.
inline Floats look_up(const float* table, const Words& index) {
  return each<Floats>([&](std::size_t i) { return table[index.v[i]]; });
}
/// The little-endian float16 at `in` in all lanes; a NaN stays one.
inline Floats all_half(const unsigned char* in) {
  const std::uint32_t half = static_cast<std::uint32_t>(in[0]) | static_cast<std::uint32_t>(in[1]) << 8;
  return all(float_of_half(half));
}
/// Sixteen floats, any of which can be had in all lanes.
struct Each {
  explicit Each(const Floats& values) : lanes(values) {}
  Floats operator[](std::size_t i) const { return all(lanes.v[i]); }
  Floats lanes;
};
/// Lane i has nibble i of eight bytes in its low four bits; its others do not matter.
inline Words nibbles_at(const std::uint8_t* in) {
  return each<Words>([&](std::size_t i) { return static_cast<std::uint32_t>(in[i / 2] >> (4 * (i % 2))); });
}

/// The sixteen weights scale * (code + lowest) - min of a group, or scale * table[code].
struct Line {
  Floats scale, min;
  Words lowest;
};
struct Book {
  const float* table;
  Floats scale;
};
inline Line line_of(const Floats& scale, int lowest, const Floats& min_ = all(0.0f)) {
  return {scale, min_, all_words(static_cast<std::uint32_t>(lowest))};
}
inline Book book_of(const float* table, const Floats& scale) { return {table, scale}; }
/// Weights of a group by the low four bits of each lane.
inline Floats weights(const Line& line, const Words& codes) {
  return line.scale * floats_of((codes & all_words(15)) + line.lowest) - line.min;
}
inline Floats weights(const Book& book, const Words& codes) {
  return book.scale * look_up(book.table, codes & all_words(15));
}
/// Lane i is 2^kBit where bit i is set, else 0.
template <unsigned kBit>
inline Words spread_bits(std::uint32_t bits) {
  constexpr std::uint32_t kLane[kLanes] = {1u << 0,  1u << 1,  1u << 2,  1u << 3, 1u << 4,  1u << 5,
                                           1u << 6,  1u << 7,  1u << 8,  1u << 9, 1u << 10, 1u << 11,
                                           1u << 12, 1u << 13, 1u << 14, 1u << 15};
  return each<Words>([&](std::size_t i) { return (bits & kLane[i]) == kLane[i] ? 1u << kBit : 0u; });
}
inline Words shift_right(const Words& a, unsigned bits) {  // below 32
  return each<Words>([&](std::size_t i) { return a.v[i] >> bits; });
}
template <unsigned kBits>
inline Words shift_left(const Words& a) {
  return each<Words>([&](std::size_t i) { return a.v[i] << kBits; });
}
template <unsigned kBits>
inline Words shift_right(const Words& a) {
  return each<Words>([&](std::size_t i) { return a.v[i] >> kBits; });
}
/// The top bit moves in from the left.
template <unsigned kBits>
inline Words shift_right_signed(const Words& a) {
  return each<Words>(
      [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<std::int32_t>(a.v[i]) >> kBits); });
}
inline Mask operator<(const Words& a, const Words& b) {  // unsigned, below 2^31
  return each<Mask>([&](std::size_t i) { return a.v[i] < b.v[i]; });
}

/// Eight codes, a byte each, to and from the low 8 * bits bits; bits < 8.
inline std::uint64_t squeeze(std::uint64_t codes, unsigned bits) {
  const std::uint64_t pairs = (codes & 0x00FF00FF00FF00FFu) | ((codes & 0xFF00FF00FF00FF00u) >> (8 - bits));
  const std::uint64_t quads = (pairs & 0x0000FFFF0000FFFFu) | ((pairs & 0xFFFF0000FFFF0000u) >> (16 - 2 * bits));
  return (quads & 0xFFFFFFFFu) | ((quads >> 32) << (4 * bits));
}
inline std::uint64_t spread(std::uint64_t stream, unsigned bits) {
  const std::uint64_t mask4 = (std::uint64_t{1} << (4 * bits)) - 1, mask2 = (std::uint64_t{1} << (2 * bits)) - 1;
  const std::uint64_t mask1 = (std::uint64_t{1} << bits) - 1;
  const std::uint64_t quads = (stream & mask4) | (((stream >> (4 * bits)) & mask4) << 32);
  const std::uint64_t low = 0x0000000100000001u, low16 = 0x0001000100010001u;
  const std::uint64_t pairs = (quads & (mask2 * low)) | (((quads >> (2 * bits)) & (mask2 * low)) << 16);
  return (pairs & (mask1 * low16)) | (((pairs >> bits) & (mask1 * low16)) << 8);
}

}  // namespace
}  // namespace strata::codec
