// Vectors of 16 pairs of bf16 in AVX-512, for simd_matmul.h: the dot-product instruction, and the loaders that make
// pairs of the element types. The instruction takes subnormal operands and results as zero.
#pragma once
#include "kernel/vector_avx512.h"

namespace strata::kernel {
namespace {

/// The vector type for pairs: V, with vectors of 16 pairs carried as the bits of floats.
struct Pairs : V {
  static F fused(F a, F b, F c) { return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b); }
};

struct PairsF32 {
  static constexpr std::size_t bytes = 4;
  static __m512 narrow(__m512 low, __m512 high) { return (__m512)_mm512_cvtne2ps_pbh(high, low); }
  static __m512 full(const std::byte* p) { return narrow(_mm512_loadu_ps(p), _mm512_loadu_ps(p + 64)); }
  static __m512 partial(const std::byte* p, std::size_t count) {
    return narrow(_mm512_maskz_loadu_ps(first_half(count), p), _mm512_maskz_loadu_ps(second_half(count), p + 64));
  }
  static __m512 pairs(const std::byte* p, const std::byte* q, std::size_t count) {
    const __m512i both = (__m512i)narrow(_mm512_maskz_loadu_ps(first_half(count), p),
                                         q == nullptr ? V::zero() : _mm512_maskz_loadu_ps(first_half(count), q));
    // Lane i of the first and the last 16 halves, alternately.
    const __m512i order =
        _mm512_setr_epi32(0x100000, 0x110001, 0x120002, 0x130003, 0x140004, 0x150005, 0x160006, 0x170007, 0x180008,
                          0x190009, 0x1A000A, 0x1B000B, 0x1C000C, 0x1D000D, 0x1E000E, 0x1F000F);
    return (__m512)_mm512_permutexvar_epi16(order, both);
  }
};
struct PairsBf16 {
  static constexpr std::size_t bytes = 2;
  static __m512 full(const std::byte* p) { return LoadBf16::full_pairs(p); }
  static __m512 partial(const std::byte* p, std::size_t count) { return LoadBf16::partial_pairs(p, count); }
};
struct PairsF16 {
  static constexpr std::size_t bytes = 2;
  static __m512 full(const std::byte* p) { return PairsF32::narrow(LoadF16::full(p), LoadF16::full(p + 32)); }
  static __m512 partial(const std::byte* p, std::size_t count) {
    return PairsF32::narrow(LoadF16::partial(p, count),
                            _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(second_half(count), p + 32)));
  }
};

}  // namespace
}  // namespace strata::kernel
