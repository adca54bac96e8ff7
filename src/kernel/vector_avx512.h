// Vectors of 16 floats in AVX-512, for simd_matmul.h and simd_ops.h.
// In an unnamed namespace: each file that includes this has its own copy, compiled with its own flags.
#pragma once
// GCC 12 reports uninitialized values inside its own intrinsics (GCC bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

#include <cstddef>

namespace strata::kernel {
namespace {

struct V {
  using F = __m512;
  struct D {
    __m512d low, high;
  };
  static constexpr std::size_t lanes = 16;
  static constexpr std::size_t dot_rows = 4;

  static __mmask16 mask(std::size_t count) { return static_cast<__mmask16>((1u << count) - 1u); }
  /// The compiler may assume nothing about v, and keeps it in a register.
  static void opaque(F& v) { asm volatile("" : "+v"(v)); }
  static F zero() { return _mm512_setzero_ps(); }
  static F set(float a) { return _mm512_set1_ps(a); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static F load_partial(const float* p, std::size_t count) { return _mm512_maskz_loadu_ps(mask(count), p); }
  static void store(float* p, F v) { _mm512_storeu_ps(p, v); }
  static void store_partial(float* p, std::size_t count, F v) { _mm512_mask_storeu_ps(p, mask(count), v); }

  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F fused(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static float sum(F v) { return _mm512_reduce_add_ps(v); }
  static float largest(F v) { return _mm512_reduce_max_ps(v); }
  static F times_power_of_two(F v, F n) { return _mm512_scalef_ps(v, n); }

  static D zero_double() { return {_mm512_setzero_pd(), _mm512_setzero_pd()}; }
  static void add_widened(F v, D& sum) {
    sum.low = _mm512_add_pd(sum.low, _mm512_cvtps_pd(_mm512_castps512_ps256(v)));
    sum.high = _mm512_add_pd(sum.high, _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1)));
  }
  static double sum_double(const D& sum) { return _mm512_reduce_add_pd(_mm512_add_pd(sum.low, sum.high)); }

  static F round_bf16(F v) {
    const __m512i bits = _mm512_castps_si512(v), one = _mm512_set1_epi32(1);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), one);
    __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
    rounded = _mm512_mask_or_epi32(rounded, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), bits, _mm512_set1_epi32(0x400000));
    return _mm512_castsi512_ps(_mm512_and_si512(rounded, _mm512_set1_epi32(-0x10000)));
  }

  /// 16 x 16: pairs, quadruples, then the 128-bit quarters twice.
  static void transpose(F (&v)[16]) {
    F a[16];
    for (int i = 0; i < 16; i += 4) {
      const __m512d p0 = _mm512_castps_pd(_mm512_unpacklo_ps(v[i], v[i + 1]));
      const __m512d p1 = _mm512_castps_pd(_mm512_unpackhi_ps(v[i], v[i + 1]));
      const __m512d p2 = _mm512_castps_pd(_mm512_unpacklo_ps(v[i + 2], v[i + 3]));
      const __m512d p3 = _mm512_castps_pd(_mm512_unpackhi_ps(v[i + 2], v[i + 3]));
      a[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(p0, p2));
      a[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(p0, p2));
      a[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(p1, p3));
      a[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(p1, p3));
    }
    // a[4 g + j] holds columns j, 4 + j, 8 + j, 12 + j of rows 4 g .. 4 g + 3.
    for (int j = 0; j < 4; ++j) {
      const F low = _mm512_shuffle_f32x4(a[j], a[4 + j], 0x88), low_odd = _mm512_shuffle_f32x4(a[j], a[4 + j], 0xDD);
      const F high = _mm512_shuffle_f32x4(a[8 + j], a[12 + j], 0x88);
      const F high_odd = _mm512_shuffle_f32x4(a[8 + j], a[12 + j], 0xDD);
      v[j] = _mm512_shuffle_f32x4(low, high, 0x88);
      v[8 + j] = _mm512_shuffle_f32x4(low, high, 0xDD);
      v[4 + j] = _mm512_shuffle_f32x4(low_odd, high_odd, 0x88);
      v[12 + j] = _mm512_shuffle_f32x4(low_odd, high_odd, 0xDD);
    }
  }
};

inline __mmask16 first_half(std::size_t count) { return count >= 16 ? static_cast<__mmask16>(0xFFFF) : V::mask(count); }
inline __mmask16 second_half(std::size_t count) {
  return count <= 16 ? static_cast<__mmask16>(0) : V::mask(count - 16);
}

struct LoadF32 {
  static constexpr std::size_t bytes = 4;
  static __m512 full(const std::byte* p) { return _mm512_loadu_ps(p); }
  static __m512 partial(const std::byte* p, std::size_t count) { return _mm512_maskz_loadu_ps(first_half(count), p); }
};
struct LoadBf16 {
  static constexpr std::size_t bytes = 2;
  static __m512 widen(__m256i v) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16)); }
  static __m512 full(const std::byte* p) { return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
  static __m512 partial(const std::byte* p, std::size_t count) {
    return widen(_mm256_maskz_loadu_epi16(first_half(count), p));
  }
  static __m512 full_pairs(const std::byte* p) { return _mm512_loadu_ps(p); }
  static __m512 partial_pairs(const std::byte* p, std::size_t count) {
    return _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(static_cast<__mmask32>((1ull << count) - 1u), p));
  }
  static __m512 even(__m512 v) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(v), 16)); }
  static __m512 odd(__m512 v) {
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(-0x10000)));
  }
};
struct LoadF16 {
  static constexpr std::size_t bytes = 2;
  static __m512 full(const std::byte* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static __m512 partial(const std::byte* p, std::size_t count) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first_half(count), p));
  }
};

}  // namespace
}  // namespace strata::kernel
