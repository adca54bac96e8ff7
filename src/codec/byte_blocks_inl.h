// Blocks of ggml as codes of bytes and scales, for byte_dots_inl.h; super-blocks: byte_super_blocks_inl.h. A type
// says how many bytes a block has and how many stretches of 32 columns; whether its codes are signed levels without a
// min; whether scales are of 16 columns. scales(in, n): those of n <= 8 stretches from `in` on, and their mins;
// codes(in, k): the codes of stretch k. Layouts: docs/formats/gguf.md.
#pragma once
#include "codec/lanes_avx2.h"

// In whose operations the following is written.
#include "codec/byte_row.h"
#include "codec/ggml/unpack_blocks_inl.h"

namespace strata::codec {
namespace {

using Bytes = __m256i;

/// By stretches of 32 columns in the first vectors, or by 16 columns in both.
struct GroupScales {
  __m256 scale[2], min[2];
};

inline Bytes all_bytes(int value) { return _mm256_set1_epi8(static_cast<char>(value)); }
inline Bytes bytes_at(const u8* in) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in)); }
inline Bytes low_nibbles(Bytes bytes) { return _mm256_and_si256(bytes, all_bytes(15)); }
inline Bytes high_nibbles(Bytes bytes) { return low_nibbles(_mm256_srli_epi16(bytes, 4)); }
/// The low nibbles of sixteen bytes, then the high ones.
inline Bytes nibbles_of(const u8* in) {
  const __m256i twice = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in)));
  return low_nibbles(_mm256_srlv_epi32(twice, _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4)));
}
/// Bit kFrom of every byte in place kTo, alone or with the kBits - 1 above it.
template <int kFrom, int kTo, int kBits = 1>
inline Bytes bits_to(Bytes bytes) {
  const Bytes mask = all_bytes(((1 << kBits) - 1) << kTo);
  if constexpr (kFrom < kTo)
    return _mm256_and_si256(_mm256_slli_epi16(bytes, kTo - kFrom), mask);
  else
    return _mm256_and_si256(_mm256_srli_epi16(bytes, kFrom - kTo), mask);
}
/// Byte i is 16 where bit i is set.
inline Bytes sixteens(std::uint32_t bits) {
  const __m256i byte_of = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,  //
                                           2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i bit_of = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201u));
  const __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(bits)), byte_of);
  return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(spread, bit_of), bit_of), all_bytes(16));
}
/// Levels of IQ4 by codes below 16.
inline Bytes levels_of_iq4(Bytes codes) {
  const __m128i levels = _mm_setr_epi8(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(levels), codes);
}

/// The float16 numbers at in, in + stride, ...: n of them, then zeros.
template <class Count>
inline __m256 halves_at(const u8* in, std::size_t stride, Count n) {
  __m128i halves = _mm_setzero_si128();
  unrolled<kByteStep>([&](auto k) {
    if (k < n) halves = _mm_insert_epi16(halves, static_cast<int>(word_at(in + k * stride)), k);
  });
  return _mm256_cvtph_ps(halves);
}
inline __m256 times(__m256 scale, float factor) { return _mm256_mul_ps(scale, _mm256_set1_ps(factor)); }

/// Blocks of 32 weights.
template <std::size_t kBlockBytes, bool kHasMin>
struct SmallBlocks {
  static constexpr std::size_t kBytes = kBlockBytes, kStretches = 1;
  static constexpr bool kSigned = !kHasMin, kHalves = false;
};

struct Q8_0Bytes : SmallBlocks<34, false> {
  template <class Count>
  static GroupScales scales(const u8* in, Count n) {
    return {{halves_at(in, kBytes, n)}, {}};
  }
  static Bytes codes(const u8* in, std::size_t k) { return bytes_at(in + k * kBytes + 2); }
};

struct Q4_0Bytes : SmallBlocks<18, true> {
  template <class Count>
  static GroupScales scales(const u8* in, Count n) {
    const __m256 d = halves_at(in, kBytes, n);
    return {{d}, {times(d, 8.0f)}};
  }
  static Bytes codes(const u8* in, std::size_t k) { return nibbles_of(in + k * kBytes + 2); }
};

struct Iq4NlBytes : SmallBlocks<18, false> {
  template <class Count>
  static GroupScales scales(const u8* in, Count n) {
    return {{halves_at(in, kBytes, n)}, {}};
  }
  static Bytes codes(const u8* in, std::size_t k) { return levels_of_iq4(nibbles_of(in + k * kBytes + 2)); }
};

struct Q5_0Bytes : SmallBlocks<22, true> {
  template <class Count>
  static GroupScales scales(const u8* in, Count n) {
    const __m256 d = halves_at(in, kBytes, n);
    return {{d}, {times(d, 16.0f)}};
  }
  static Bytes codes(const u8* in, std::size_t k) {
    const u8* const block = in + k * kBytes;
    return _mm256_or_si256(nibbles_of(block + 6), sixteens(dword_at(block + 2)));
  }
};

/// The second number of a block is added, not subtracted.
template <std::size_t kBlockBytes>
struct AddingBlocks : SmallBlocks<kBlockBytes, true> {
  template <class Count>
  static GroupScales scales(const u8* in, Count n) {
    return {{halves_at(in, kBlockBytes, n)}, {times(halves_at(in + 2, kBlockBytes, n), -1.0f)}};
  }
};

struct Q4_1Bytes : AddingBlocks<20> {
  static Bytes codes(const u8* in, std::size_t k) { return nibbles_of(in + k * kBytes + 4); }
};

struct Q5_1Bytes : AddingBlocks<24> {
  static Bytes codes(const u8* in, std::size_t k) {
    const u8* const block = in + k * kBytes;
    return _mm256_or_si256(nibbles_of(block + 8), sixteens(dword_at(block + 4)));
  }
};

}  // namespace
}  // namespace strata::codec
