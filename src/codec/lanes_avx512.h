// Sixteen lanes in one AVX-512 register. The operations and their contracts: lanes_portable.h.
// Needs AVX-512 F, BW, DQ, VL, and BMI2.
#pragma once
// GCC 12 takes the undefined pass-through operands of its own header for uninitialized variables (GCC bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace strata::codec {
namespace {

constexpr std::size_t kLanes = 16;

struct Floats {
  __m512 v;
};
struct Words {
  __m512i v;
};
struct Mask {
  __mmask16 v;
};

inline __mmask16 first_lanes(std::size_t count) { return static_cast<__mmask16>((1u << count) - 1); }

inline Floats load(const float* in) { return {_mm512_loadu_ps(in)}; }
inline Floats load_part(const float* in, std::size_t count) { return {_mm512_maskz_loadu_ps(first_lanes(count), in)}; }
inline void store(float* out, Floats a) { _mm512_storeu_ps(out, a.v); }
inline void store_part(float* out, std::size_t count, Floats a) { _mm512_mask_storeu_ps(out, first_lanes(count), a.v); }
inline Floats all(float value) { return {_mm512_set1_ps(value)}; }
inline Words all_words(std::uint32_t value) { return {_mm512_set1_epi32(static_cast<int>(value))}; }
inline Words load_bytes(const std::uint8_t* in) {
  return {_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in)))};
}
inline Words load_halves(const unsigned char* in) {
  return {_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(in)))};
}
inline Words bytes_of(std::uint64_t low, std::uint64_t high) {
  return {_mm512_cvtepu8_epi32(_mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low)))};
}
inline Words load_signed_bytes(const std::uint8_t* in) {
  return {_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in)))};
}
inline void store_bytes(std::uint8_t* out, Words a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_cvtepi32_epi8(a.v));
}

inline Floats operator+(Floats a, Floats b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Floats operator-(Floats a, Floats b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Floats operator*(Floats a, Floats b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Floats operator/(Floats a, Floats b) { return {_mm512_div_ps(a.v, b.v)}; }
inline Floats fused(Floats a, Floats b, Floats c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline float sum(Floats a) { return _mm512_reduce_add_ps(a.v); }
inline Floats subtract_exact_product(Floats a, Floats b, Floats c) { return {_mm512_fnmadd_ps(b.v, c.v, a.v)}; }
inline Floats min(Floats a, Floats b) { return {_mm512_min_ps(a.v, b.v)}; }
inline Floats max(Floats a, Floats b) { return {_mm512_max_ps(a.v, b.v)}; }
inline Mask operator<(Floats a, Floats b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
inline Mask is_nan(Floats a) { return {_mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q)}; }
inline Floats select(Mask mask, Floats a, Floats b) { return {_mm512_mask_blend_ps(mask.v, b.v, a.v)}; }
inline Words select(Mask mask, Words a, Words b) { return {_mm512_mask_blend_epi32(mask.v, b.v, a.v)}; }
inline Floats round_even(Floats a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}

inline Words bits_of(Floats a) { return {_mm512_castps_si512(a.v)}; }
inline Floats from_bits(Words a) { return {_mm512_castsi512_ps(a.v)}; }
inline Words operator+(Words a, Words b) { return {_mm512_add_epi32(a.v, b.v)}; }
inline Words operator-(Words a, Words b) { return {_mm512_sub_epi32(a.v, b.v)}; }
inline Words operator*(Words a, Words b) { return {_mm512_mullo_epi32(a.v, b.v)}; }
inline Words operator&(Words a, Words b) { return {_mm512_and_si512(a.v, b.v)}; }
inline Words operator|(Words a, Words b) { return {_mm512_or_si512(a.v, b.v)}; }
inline Words max(Words a, Words b) { return {_mm512_max_epi32(a.v, b.v)}; }
inline Words lane_numbers() { return {_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)}; }
inline Floats floats_of(Words a) { return {_mm512_cvtepi32_ps(a.v)}; }
inline Floats look_up(const float* table, Words index) {
  return {_mm512_permutexvar_ps(index.v, _mm512_loadu_ps(table))};
}
inline Floats all_half(const unsigned char* in) {
  short half;
  std::memcpy(&half, in, sizeof half);
  return {_mm512_cvtph_ps(_mm256_set1_epi16(half))};
}
/// Through memory, from which a load fills all lanes for nothing; the compiler, if it knew what lies there, would
/// permute registers, on the port that the kernels need most.
struct Each {
  explicit Each(Floats values) {
    store(lanes, values);
    asm("" : "+m"(lanes));
  }
  Floats operator[](std::size_t i) const { return all(lanes[i]); }
  float lanes[kLanes];
};
inline Words nibbles_at(const std::uint8_t* in) {
  long long packed;
  std::memcpy(&packed, in, sizeof packed);
  // Byte i / 2 at the bottom of lane i, then nibble i % 2 of it.
  const __m512i bytes =
      _mm512_shuffle_epi8(_mm512_set1_epi64(packed), _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7));
  return {_mm512_srlv_epi32(bytes, _mm512_setr_epi32(0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4))};
}

/// All sixteen weights of a group in one register, in which they are looked up.
struct Line {
  __m512 weights;
};
using Book = Line;
inline Floats numbers_from(int lowest) {
  return floats_of(lane_numbers() + all_words(static_cast<std::uint32_t>(lowest)));
}
inline Line line_of(Floats scale, int lowest) { return {(scale * numbers_from(lowest)).v}; }
inline Line line_of(Floats scale, int lowest, Floats min_) { return {(scale * numbers_from(lowest) - min_).v}; }
inline Book book_of(const float* table, Floats scale) { return {(scale * load(table)).v}; }
inline Floats weights(Line line, Words codes) { return {_mm512_permutexvar_ps(codes.v, line.weights)}; }
template <unsigned kBit>
inline Words spread_bits(std::uint32_t bits) {
  return {_mm512_maskz_set1_epi32(static_cast<__mmask16>(bits), static_cast<int>(1u << kBit))};
}
inline Words shift_right(Words a, unsigned bits) {
  return {_mm512_srl_epi32(a.v, _mm_cvtsi32_si128(static_cast<int>(bits)))};
}
template <unsigned kBits>
inline Words shift_left(Words a) {
  return {_mm512_slli_epi32(a.v, kBits)};
}
template <unsigned kBits>
inline Words shift_right(Words a) {
  return {_mm512_srli_epi32(a.v, kBits)};
}
template <unsigned kBits>
inline Words shift_right_signed(Words a) {
  return {_mm512_srai_epi32(a.v, kBits)};
}
inline Mask operator<(Words a, Words b) { return {_mm512_cmplt_epi32_mask(a.v, b.v)}; }

inline std::uint64_t code_mask(unsigned bits) { return ((std::uint64_t{1} << bits) - 1) * 0x0101010101010101u; }
inline std::uint64_t squeeze(std::uint64_t codes, unsigned bits) { return _pext_u64(codes, code_mask(bits)); }
inline std::uint64_t spread(std::uint64_t stream, unsigned bits) { return _pdep_u64(stream, code_mask(bits)); }

}  // namespace
}  // namespace strata::codec
