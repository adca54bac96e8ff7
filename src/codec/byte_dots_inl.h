// Products of stored rows with a row of 8 bits in vectors of 256 bits: unsigned codes times signed ones in fours, and
// every four times the scales of both, in f32. Signed levels are multiplied by their magnitudes, with the sign given to
// x. The order of sums: byte_row.h. A file that includes this one is compiled for AVX2, or for more.
#pragma once
#include "codec/byte_row.h"
#include "codec/byte_super_blocks_inl.h"

namespace strata::codec {
namespace {

/// Four neighbours of 32 products each, codes unsigned. Codes are below 2^7 and levels at most 128, so that no pair of
/// products leaves 16 bits.
inline __m256i sums_of_fours(Bytes codes, Bytes x) {
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
  return _mm256_dpbusd_epi32(_mm256_setzero_si256(), codes, x);
#else
  return _mm256_madd_epi16(_mm256_maddubs_epi16(codes, x), _mm256_set1_epi16(1));
#endif
}

template <bool kSigned>
inline __m256 fours(Bytes codes, Bytes x) {
  return _mm256_cvtepi32_ps(kSigned ? sums_of_fours(_mm256_abs_epi8(codes), _mm256_sign_epi8(x, codes))
                                    : sums_of_fours(codes, x));
}

/// The sums of one row.
class ByteSums {
 public:
  explicit ByteSums(const ByteRow& x) : x_(x) {}

  /// n <= kByteStep blocks from `block` on, a multiple of kByteStep. codes(k): those of block `block` + k.
  template <bool kSigned, bool kHalves, bool kMins, class Count, class Codes>
  [[gnu::always_inline]] void add(std::size_t block, Count n, const GroupScales& of, Codes codes) {
    const __m256 d = _mm256_loadu_ps(x_.scales + block);
    alignas(32) float factors[2 * kByteStep];
    if constexpr (kHalves) {
      const __m256i low = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3), high = _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7);
      _mm256_store_ps(factors, _mm256_mul_ps(of.scale[0], _mm256_permutevar8x32_ps(d, low)));
      _mm256_store_ps(factors + kByteStep, _mm256_mul_ps(of.scale[1], _mm256_permutevar8x32_ps(d, high)));
    } else {
      _mm256_store_ps(factors, _mm256_mul_ps(of.scale[0], d));
    }
    if constexpr (kMins) {
      const float* const sums = kHalves ? x_.half_sums + 2 * block : x_.sums + block;
      mins_ = _mm256_fmadd_ps(of.min[0], _mm256_loadu_ps(sums), mins_);
      if constexpr (kHalves) mins_ = _mm256_fmadd_ps(of.min[1], _mm256_loadu_ps(sums + kByteStep), mins_);
    }
    const std::int8_t* const x = x_.codes + kByteBlock * block;
    unrolled<kByteStep>([&](auto k) {
      if (!(k < n)) return;
      const __m256 factor = kHalves
                                ? _mm256_blend_ps(_mm256_broadcast_ss(factors + 2 * k % (2 * kByteStep)),
                                                  _mm256_broadcast_ss(factors + (2 * k + 1) % (2 * kByteStep)), 0xF0)
                                : _mm256_broadcast_ss(factors + k);
      const Bytes of_x = bytes_at(reinterpret_cast<const u8*>(x) + kByteBlock * k);
      sums_[k % 2] = _mm256_fmadd_ps(fours<kSigned>(codes(k), of_x), factor, sums_[k % 2]);
    });
  }

  float total() const {
    const __m256 eight = _mm256_sub_ps(_mm256_add_ps(sums_[0], sums_[1]), mins_);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }

 private:
  const ByteRow& x_;
  __m256 sums_[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()}, mins_ = _mm256_setzero_ps();
};

/// Asks for the bytes that the rows after this one will need.
template <std::size_t kBytes>
inline void prefetch(const u8* in) {
  constexpr std::size_t kAhead = 4096, kLine = 64;
  unrolled<(kBytes + kLine - 1) / kLine>([&](auto line) { __builtin_prefetch(in + kAhead + kLine * line); });
}

template <class Type>
void dot(const unsigned char* in, std::size_t rows, const ByteRow& x, float* y) {
  constexpr std::size_t kBlocks = kByteStep / Type::kStretches, kStepBytes = kBlocks * Type::kBytes;
  const std::size_t blocks = x.cols / kByteBlock, whole = blocks / kByteStep * kByteStep;
  for (std::size_t r = 0; r < rows; ++r) {
    ByteSums sums(x);
    std::size_t block = 0;
    const auto add = [&](auto n) {
      sums.add<Type::kSigned, Type::kHalves, !Type::kSigned>(block, n, Type::scales(in, n),
                                                             [in](auto k) { return Type::codes(in, k); });
    };
    for (; block < whole; block += kByteStep, in += kStepBytes) {
      prefetch<kStepBytes>(in);
      add(Constant<kByteStep>{});
    }
    if (block < blocks) {
      add(blocks - block);
      in += (blocks - block) / Type::kStretches * Type::kBytes;
    }
    y[r] = sums.total();
  }
}

ByteDot dot_of(BlockType type) {
  switch (type) {
    case BlockType::q8_0:
      return dot<Q8_0Bytes>;
    case BlockType::q4_0:
      return dot<Q4_0Bytes>;
    case BlockType::q4_1:
      return dot<Q4_1Bytes>;
    case BlockType::q5_0:
      return dot<Q5_0Bytes>;
    case BlockType::q5_1:
      return dot<Q5_1Bytes>;
    case BlockType::q6_k:
      return dot<Q6_KBytes>;
    case BlockType::q5_k:
      return dot<Q5_KBytes>;
    case BlockType::q4_k:
      return dot<Q4_KBytes>;
    case BlockType::iq4_nl:
      return dot<Iq4NlBytes>;
    case BlockType::iq4_xs:
      return dot<Iq4XsBytes>;
    default:
      return nullptr;
  }
}

// ---- rows of integers with scales by group ----

/// Numbers of the groups that blocks [block, block + 8) lie in. A group is of 2^shift blocks; of `groups` numbers.
inline __m256 by_block(const float* numbers, std::size_t groups, std::size_t block, unsigned shift) {
  const std::size_t first = block >> shift, left = groups - first;
  if (shift >= 3) return _mm256_set1_ps(numbers[first]);
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const int most = static_cast<int>(left < kByteStep ? left : kByteStep);
  const __m256 some = _mm256_maskload_ps(numbers + first, _mm256_cmpgt_epi32(_mm256_set1_epi32(most), lanes));
  return _mm256_permutevar8x32_ps(some, _mm256_srl_epi32(lanes, _mm_cvtsi32_si128(static_cast<int>(shift))));
}

/// 32 codes of 4 bits, the first in the low half of a byte.
inline Bytes neighbours_of(const u8* in) {
  const __m128i packed = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in)), mask = _mm_set1_epi8(15);
  const __m128i low = _mm_and_si128(packed, mask), high = _mm_and_si128(_mm_srli_epi16(packed, 4), mask);
  return _mm256_set_m128i(_mm_unpackhi_epi8(low, high), _mm_unpacklo_epi8(low, high));
}

void integers(IntegerCodes codes, std::size_t group_size, const float* scales, const float* mins, const ByteRow& x,
              float* y) {
  const std::size_t blocks = x.cols / kByteBlock, groups = (x.cols + group_size - 1) / group_size;
  unsigned shift = 0;
  while ((kByteBlock << shift) < group_size && group_size < x.cols) ++shift;
  if (group_size >= x.cols) shift = 63;  // one group
  ByteSums sums(x);
  const auto add_all = [&](auto is_signed, std::size_t bytes, auto codes_at) {
    for (std::size_t block = 0; block < blocks; block += kByteStep) {
      const GroupScales of{{by_block(scales, groups, block, shift)},
                           {mins == nullptr ? _mm256_setzero_ps() : by_block(mins, groups, block, shift)}};
      const u8* const in = codes.data + block * bytes;
      const auto add = [&](auto n) {
        sums.add<decltype(is_signed){} != 0, false, true>(block, n, of,
                                                          [=](auto k) { return codes_at(in + k * bytes); });
      };
      if (blocks - block < kByteStep)
        add(blocks - block);
      else
        add(Constant<kByteStep>{});
    }
  };
  if (codes.signed_bytes)
    add_all(Constant<1>{}, kByteBlock, [](const u8* in) { return bytes_at(in); });
  else if (codes.bits == 8)
    add_all(Constant<1>{}, kByteBlock, [](const u8* in) { return _mm256_xor_si256(bytes_at(in), all_bytes(0x80)); });
  else
    add_all(Constant<0>{}, kByteBlock / 2, [](const u8* in) { return neighbours_of(in); });
  *y = sums.total();
}

// ---- the rounding of x ----

inline __m256i magnitudes(__m256 x) { return _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7FFFFFFF)); }

/// The bits of the largest magnitude: those of a number that is not finite are larger than all others.
inline std::uint32_t largest(const __m256 (&x)[4]) {
  const __m256i eight = _mm256_max_epi32(_mm256_max_epi32(magnitudes(x[0]), magnitudes(x[1])),
                                         _mm256_max_epi32(magnitudes(x[2]), magnitudes(x[3])));
  __m128i four = _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4E));
  return static_cast<std::uint32_t>(_mm_cvtsi128_si32(_mm_max_epi32(four, _mm_shuffle_epi32(four, 0xB1))));
}

inline int sum_of_four(__m128i x) {
  const __m128i two = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xB1)));
}

void round_block(const float* x, std::size_t block, const ByteRow& out) {
  __m256 values[4];
  for (std::size_t i = 0; i < 4; ++i) values[i] = _mm256_loadu_ps(x + 8 * i);
  const std::uint32_t bits = largest(values);
  const float most = float_of_bits(bits);
  const bool finite = bits < 0x7F800000u, some = finite && !(most < 1e-36f);
  const float scale = some ? most / 127.0f : finite ? 0.0f : float_of_bits(0x7FC00000u);
  const __m256 inverse = _mm256_set1_ps(some ? 127.0f / most : 0.0f);
  __m256i words[4];
  for (std::size_t i = 0; i < 4; ++i) words[i] = _mm256_cvtps_epi32(_mm256_mul_ps(values[i], inverse));
  const __m256i packed =
      _mm256_packs_epi16(_mm256_packs_epi32(words[0], words[1]), _mm256_packs_epi32(words[2], words[3]));
  const __m256i codes = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.codes + kByteBlock * block), codes);
  const __m256i sums = sums_of_fours(all_bytes(1), codes);
  const int low = sum_of_four(_mm256_castsi256_si128(sums)), high = sum_of_four(_mm256_extracti128_si256(sums, 1));
  out.scales[block] = scale;
  out.sums[block] = static_cast<float>(low + high) * scale;
  out.half_sums[2 * block] = static_cast<float>(low) * scale;
  out.half_sums[2 * block + 1] = static_cast<float>(high) * scale;
}

void round_row_to_bytes(const float* x, const ByteRow& out) {
  const std::size_t blocks = out.cols / kByteBlock;
  for (std::size_t block = 0; block < blocks; ++block) round_block(x + kByteBlock * block, block, out);
  for (std::size_t block = blocks; block % kByteStep != 0; ++block)
    out.scales[block] = out.sums[block] = out.half_sums[2 * block] = out.half_sums[2 * block + 1] = 0.0f;
}

constexpr ByteKernels make_byte_kernels() { return {round_row_to_bytes, dot_of, integers}; }

}  // namespace
}  // namespace strata::codec
