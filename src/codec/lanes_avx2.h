// Sixteen lanes in two AVX2 registers. The operations and their contracts: lanes_portable.h.
// Needs AVX2, FMA, F16C and BMI2.
#pragma once
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace strata::codec {
namespace {

constexpr std::size_t kLanes = 16;

struct Floats {
  __m256 a, b;  // lanes 0..7, 8..15
};
struct Words {
  __m256i a, b;
};
struct Mask {
  __m256 a, b;  // all bits of a lane, or none
};

inline Floats load(const float* in) { return {_mm256_loadu_ps(in), _mm256_loadu_ps(in + 8)}; }
inline Floats load_part(const float* in, std::size_t count) {
  float padded[kLanes] = {};
  std::memcpy(padded, in, count * sizeof(float));
  return load(padded);
}
inline void store(float* out, Floats x) {
  _mm256_storeu_ps(out, x.a);
  _mm256_storeu_ps(out + 8, x.b);
}
inline void store_part(float* out, std::size_t count, Floats x) {
  float padded[kLanes];
  store(padded, x);
  std::memcpy(out, padded, count * sizeof(float));
}
inline Floats all(float value) { return {_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
inline Words all_words(std::uint32_t value) {
  const __m256i x = _mm256_set1_epi32(static_cast<int>(value));
  return {x, x};
}
inline Words load_bytes(const std::uint8_t* in) {
  return {_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(in))),
          _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(in + 8)))};
}
inline Words load_halves(const unsigned char* in) {
  return {_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in))),
          _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in + 16)))};
}
inline Words bytes_of(std::uint64_t low, std::uint64_t high) {
  return {_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(low))),
          _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(high)))};
}
inline Words load_signed_bytes(const std::uint8_t* in) {
  return {_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(in))),
          _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(in + 8)))};
}
inline void store_bytes(std::uint8_t* out, Words x) {
  // Only the low bytes are wanted; packing saturates, so the others are cleared first.
  const __m256i low = _mm256_set1_epi32(255);
  const __m256i halves = _mm256_packus_epi32(_mm256_and_si256(x.a, low), _mm256_and_si256(x.b, low));
  const __m256i ordered = _mm256_permute4x64_epi64(halves, 0xD8);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out),
                   _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1)));
}

inline Floats operator+(Floats x, Floats y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
inline Floats operator-(Floats x, Floats y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
inline Floats operator*(Floats x, Floats y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
inline Floats operator/(Floats x, Floats y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
inline Floats fused(Floats x, Floats y, Floats z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
inline float sum(Floats x) {
  const __m256 eight = _mm256_add_ps(x.a, x.b);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
inline Floats subtract_exact_product(Floats x, Floats y, Floats z) {
  return {_mm256_fnmadd_ps(y.a, z.a, x.a), _mm256_fnmadd_ps(y.b, z.b, x.b)};
}
inline Floats min(Floats x, Floats y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
inline Floats max(Floats x, Floats y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
inline Mask operator<(Floats x, Floats y) {
  return {_mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ)};
}
inline Mask is_nan(Floats x) { return {_mm256_cmp_ps(x.a, x.a, _CMP_UNORD_Q), _mm256_cmp_ps(x.b, x.b, _CMP_UNORD_Q)}; }
inline Floats select(Mask mask, Floats x, Floats y) {
  return {_mm256_blendv_ps(y.a, x.a, mask.a), _mm256_blendv_ps(y.b, x.b, mask.b)};
}
inline Floats round_even(Floats x) {
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(x.a, kNearest), _mm256_round_ps(x.b, kNearest)};
}

inline Words bits_of(Floats x) { return {_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)}; }
inline Floats from_bits(Words x) { return {_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)}; }
inline Words select(Mask mask, Words x, Words y) { return bits_of(select(mask, from_bits(x), from_bits(y))); }
inline Words operator+(Words x, Words y) { return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)}; }
inline Words operator-(Words x, Words y) { return {_mm256_sub_epi32(x.a, y.a), _mm256_sub_epi32(x.b, y.b)}; }
inline Words operator*(Words x, Words y) { return {_mm256_mullo_epi32(x.a, y.a), _mm256_mullo_epi32(x.b, y.b)}; }
inline Words operator&(Words x, Words y) { return {_mm256_and_si256(x.a, y.a), _mm256_and_si256(x.b, y.b)}; }
inline Words operator|(Words x, Words y) { return {_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)}; }
inline Words max(Words x, Words y) { return {_mm256_max_epi32(x.a, y.a), _mm256_max_epi32(x.b, y.b)}; }
inline Words lane_numbers() {
  return {_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15)};
}
inline Floats floats_of(Words x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
inline Floats look_up(const float* table, Words index) {
  const __m256 low = _mm256_loadu_ps(table), high = _mm256_loadu_ps(table + 8);
  const auto entry = [&](__m256i i) {  // the permutation takes three bits; the fourth, as a sign, chooses the half
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, i), _mm256_permutevar8x32_ps(high, i),
                            _mm256_castsi256_ps(_mm256_slli_epi32(i, 28)));
  };
  return {entry(index.a), entry(index.b)};
}
inline Floats all_half(const unsigned char* in) {
  short half;
  std::memcpy(&half, in, sizeof half);
  const __m256 value = _mm256_cvtph_ps(_mm_set1_epi16(half));
  return {value, value};
}
struct Each {
  explicit Each(Floats values) { store(lanes, values); }
  Floats operator[](std::size_t i) const { return all(lanes[i]); }
  float lanes[kLanes];
};
inline Words nibbles_at(const std::uint8_t* in) {
  int low, high;
  std::memcpy(&low, in, sizeof low);
  std::memcpy(&high, in + sizeof low, sizeof high);
  const __m256i shifts = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
  return {_mm256_srlv_epi32(_mm256_set1_epi32(low), shifts), _mm256_srlv_epi32(_mm256_set1_epi32(high), shifts)};
}

struct Line {
  Floats scale, min;
  Words lowest;
};
struct Book {
  const float* table;
  Floats scale;
};
inline Line line_of(Floats scale, int lowest, Floats min_ = all(0.0f)) {
  return {scale, min_, all_words(static_cast<std::uint32_t>(lowest))};
}
inline Book book_of(const float* table, Floats scale) { return {table, scale}; }
inline Floats weights(const Line& line, Words codes) {
  return line.scale * floats_of((codes & all_words(15)) + line.lowest) - line.min;
}
inline Floats weights(const Book& book, Words codes) { return book.scale * look_up(book.table, codes); }
template <unsigned kBit>
inline Words spread_bits(std::uint32_t bits) {
  const __m256i all_bits = _mm256_set1_epi32(static_cast<int>(bits)), value = _mm256_set1_epi32(1);
  const auto lanes = [&](__m256i shifts) {
    return _mm256_slli_epi32(_mm256_and_si256(_mm256_srlv_epi32(all_bits, shifts), value), kBit);
  };
  return {lanes(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)), lanes(_mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15))};
}
inline Words shift_right(Words x, unsigned bits) {
  const __m128i count = _mm_cvtsi32_si128(static_cast<int>(bits));
  return {_mm256_srl_epi32(x.a, count), _mm256_srl_epi32(x.b, count)};
}
template <unsigned kBits>
inline Words shift_left(Words x) {
  return {_mm256_slli_epi32(x.a, kBits), _mm256_slli_epi32(x.b, kBits)};
}
template <unsigned kBits>
inline Words shift_right(Words x) {
  return {_mm256_srli_epi32(x.a, kBits), _mm256_srli_epi32(x.b, kBits)};
}
template <unsigned kBits>
inline Words shift_right_signed(Words x) {
  return {_mm256_srai_epi32(x.a, kBits), _mm256_srai_epi32(x.b, kBits)};
}
inline Mask operator<(Words x, Words y) {
  return {_mm256_castsi256_ps(_mm256_cmpgt_epi32(y.a, x.a)), _mm256_castsi256_ps(_mm256_cmpgt_epi32(y.b, x.b))};
}

inline std::uint64_t code_mask(unsigned bits) { return ((std::uint64_t{1} << bits) - 1) * 0x0101010101010101u; }
inline std::uint64_t squeeze(std::uint64_t codes, unsigned bits) { return _pext_u64(codes, code_mask(bits)); }
inline std::uint64_t spread(std::uint64_t stream, unsigned bits) { return _pdep_u64(stream, code_mask(bits)); }

}  // namespace
}  // namespace strata::codec
