// Vectors of 8 floats in AVX2 with FMA and F16C, for simd_matmul.h and simd_ops.h.
// In an unnamed namespace: each file that includes this has its own copy, compiled with its own flags.
#pragma once
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace strata::kernel {
namespace {

struct V {
  using F = __m256;
  struct D {
    __m256d low, high;
  };
  static constexpr std::size_t lanes = 8;
  static constexpr std::size_t dot_rows = 3;  ///< with 4 tokens: 12 sums, 3 rows and a token in 16 registers

  /// All ones in the first `count` lanes.
  static __m256i mask(std::size_t count) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), lane);
  }
  /// The compiler may assume nothing about v, and keeps it in a register.
  static void opaque(F& v) { asm volatile("" : "+x"(v)); }
  static F zero() { return _mm256_setzero_ps(); }
  static F set(float a) { return _mm256_set1_ps(a); }
  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static F load_partial(const float* p, std::size_t count) { return _mm256_maskload_ps(p, mask(count)); }
  static void store(float* p, F v) { _mm256_storeu_ps(p, v); }
  static void store_partial(float* p, std::size_t count, F v) { _mm256_maskstore_ps(p, mask(count), v); }

  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F div(F a, F b) { return _mm256_div_ps(a, b); }
  static F fused(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  static float sum(F v) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  static float largest(F v) {
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
  }

  static F power(__m256i n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
  }
  /// In two steps, so that subnormal results and infinity come out; n within [-252, 254], or v is NaN.
  static F times_power_of_two(F v, F n) {
    const __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    return _mm256_mul_ps(_mm256_mul_ps(v, power(half)), power(_mm256_sub_epi32(whole, half)));
  }

  static D zero_double() { return {_mm256_setzero_pd(), _mm256_setzero_pd()}; }
  static void add_widened(F v, D& sum) {
    sum.low = _mm256_add_pd(sum.low, _mm256_cvtps_pd(_mm256_castps256_ps128(v)));
    sum.high = _mm256_add_pd(sum.high, _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)));
  }
  static double sum_double(const D& sum) {
    double lane[4];
    _mm256_storeu_pd(lane, _mm256_add_pd(sum.low, sum.high));
    return (lane[0] + lane[1]) + (lane[2] + lane[3]);
  }

  static F round_bf16(F v) {
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    const __m256i chosen = _mm256_blendv_epi8(rounded, quiet, nan);
    return _mm256_castsi256_ps(_mm256_and_si256(chosen, _mm256_set1_epi32(-0x10000)));
  }

  /// 8 x 8: pairs, quadruples, then the halves.
  static void transpose(F (&v)[8]) {
    F a[8];
    for (int i = 0; i < 8; i += 4) {
      const F p0 = _mm256_unpacklo_ps(v[i], v[i + 1]), p1 = _mm256_unpackhi_ps(v[i], v[i + 1]);
      const F p2 = _mm256_unpacklo_ps(v[i + 2], v[i + 3]), p3 = _mm256_unpackhi_ps(v[i + 2], v[i + 3]);
      a[i] = _mm256_shuffle_ps(p0, p2, 0x44);
      a[i + 1] = _mm256_shuffle_ps(p0, p2, 0xEE);
      a[i + 2] = _mm256_shuffle_ps(p1, p3, 0x44);
      a[i + 3] = _mm256_shuffle_ps(p1, p3, 0xEE);
    }
    for (int j = 0; j < 4; ++j) {
      v[j] = _mm256_permute2f128_ps(a[j], a[4 + j], 0x20);
      v[4 + j] = _mm256_permute2f128_ps(a[j], a[4 + j], 0x31);
    }
  }
};

struct LoadF32 {
  static constexpr std::size_t bytes = 4;
  static __m256 full(const std::byte* p) { return _mm256_loadu_ps(reinterpret_cast<const float*>(p)); }
  static __m256 partial(const std::byte* p, std::size_t count) {
    return _mm256_maskload_ps(reinterpret_cast<const float*>(p), V::mask(count));
  }
};

/// Fewer than 8 values of two bytes; there is no masked load of those.
inline __m128i load_halves(const std::byte* p, std::size_t count) {
  std::uint16_t halves[8] = {};
  __builtin_memcpy(halves, p, 2 * count);
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(halves));
}
struct LoadBf16 {
  static constexpr std::size_t bytes = 2;
  static __m256 widen(__m128i v) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(v), 16)); }
  static __m256 full(const std::byte* p) { return widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
  static __m256 partial(const std::byte* p, std::size_t count) { return widen(load_halves(p, count)); }
  static __m256 full_pairs(const std::byte* p) { return _mm256_loadu_ps(reinterpret_cast<const float*>(p)); }
  static __m256 partial_pairs(const std::byte* p, std::size_t count) {
    std::uint16_t halves[16] = {};
    __builtin_memcpy(halves, p, 2 * count);
    return _mm256_loadu_ps(reinterpret_cast<const float*>(halves));
  }
  static __m256 even(__m256 v) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(v), 16)); }
  static __m256 odd(__m256 v) {
    return _mm256_castsi256_ps(_mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(-0x10000)));
  }
};
struct LoadF16 {
  static constexpr std::size_t bytes = 2;
  static __m256 full(const std::byte* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static __m256 partial(const std::byte* p, std::size_t count) { return _mm256_cvtph_ps(load_halves(p, count)); }
};

}  // namespace
}  // namespace strata::kernel
