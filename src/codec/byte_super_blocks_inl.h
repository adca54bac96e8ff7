// Super-blocks of ggml as codes of bytes and scales; the rules are those of byte_blocks_inl.h.
// Layouts: docs/formats/gguf.md.
#pragma once
#include "codec/byte_blocks_inl.h"

namespace strata::codec {
namespace {

/// Super-blocks of 256 weights.
template <std::size_t kBlockBytes, bool kHasMin, bool kOf16>
struct SuperBlocks {
  static constexpr std::size_t kBytes = kBlockBytes, kStretches = 8;
  static constexpr bool kSigned = !kHasMin, kHalves = kOf16;
};

struct Q4_KBytes : SuperBlocks<144, true, false> {
  template <class Count>
  static GroupScales scales(const u8* in, Count) {
    const Floats of = scales_and_mins(in);
    return {{of.a}, {of.b}};
  }
  template <class K>
  static Bytes codes(const u8* in, K k) {
    const Bytes packed = bytes_at(in + 16 + 32 * (k / 2));
    return k % 2 == 0 ? low_nibbles(packed) : high_nibbles(packed);
  }
};

struct Q5_KBytes : SuperBlocks<176, true, false> {
  template <class Count>
  static GroupScales scales(const u8* in, Count n) {
    return Q4_KBytes::scales(in, n);
  }
  template <class K>
  static Bytes codes(const u8* in, K k) {
    constexpr int kBit = K{};
    const Bytes packed = bytes_at(in + 48 + 32 * (k / 2)), fifths = bits_to<kBit, 4>(bytes_at(in + 16));
    return _mm256_or_si256(k % 2 == 0 ? low_nibbles(packed) : high_nibbles(packed), fifths);
  }
};

struct Q6_KBytes : SuperBlocks<210, true, true> {
  template <class Count>
  static GroupScales scales(const u8* in, Count) {
    const Floats of = all_half(in + 208) * floats_of(load_signed_bytes(in + 192));
    return {{of.a, of.b}, {times(of.a, 32.0f), times(of.b, 32.0f)}};
  }
  template <class K>
  static Bytes codes(const u8* in, K) {
    constexpr int kHalf = K{} / 4, kPart = K{} % 4;
    const Bytes low = bytes_at(in + 64 * kHalf + 32 * (kPart % 2)), high = bytes_at(in + 128 + 32 * kHalf);
    return _mm256_or_si256(kPart < 2 ? low_nibbles(low) : high_nibbles(low), bits_to<2 * kPart, 4, 2>(high));
  }
};

struct Iq4XsBytes : SuperBlocks<136, false, false> {
  template <class Count>
  static GroupScales scales(const u8* in, Count) {
    return {{scales_of_iq4_xs(in).a}, {}};
  }
  template <class K>
  static Bytes codes(const u8* in, K k) {
    return levels_of_iq4(nibbles_of(in + 8 + 16 * k));
  }
};

}  // namespace
}  // namespace strata::codec
