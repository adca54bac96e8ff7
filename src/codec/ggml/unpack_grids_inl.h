// The blocks of ggml's codebook types (IQ1, IQ2, IQ3) over sixteen lanes, in the manner of unpack_blocks_inl.h. An
// index of a grid always has a point, so that any bytes decode.
#pragma once
#include "codec/ggml/unpack_blocks_inl.h"

namespace strata::codec {
namespace {

/// scale = (d * (2 code + 1)) * unit.
inline float scale_of(float d, unsigned code, float unit) { return d * static_cast<float>(2 * code + 1) * unit; }

inline unsigned nibble(const u8* p, std::size_t index) { return p[index / 2] >> (4 * (index % 2)) & 15u; }

/// Eight signs from the low seven bits: the last makes their number even.
inline unsigned even_signs(unsigned seven) {
  seven &= 127u;
  const unsigned halves = seven ^ seven >> 4;
  return seven | (0x6996u >> (halves & 15u) & 1u) << 7;  // bit n of 0x6996 is the parity of n
}

/// Point `index` of a book of 8 bytes each.
inline std::uint64_t point_of_8(const u8* points, unsigned index) {
  std::uint64_t point;
  std::memcpy(&point, points + 8 * index, sizeof point);
  return point;
}
/// Two points of a book of 4 bytes each.
inline std::uint64_t points_of_4(const u8* points, unsigned first, unsigned second) {
  return dword_at(points + 4 * first) | std::uint64_t{dword_at(points + 4 * second)} << 32;
}

/// weight = scale * level, negative where a bit of `signs` is set; levels: sixteen bytes.
inline Floats signed_weights(std::uint64_t low, std::uint64_t high, unsigned signs, float scale) {
  const Words bits = bits_of(all(scale) * floats_of(bytes_of(low, high)));
  return from_bits(bits + spread_bits<31>(signs));  // a carry out of the top bit is lost: this turns the sign
}

struct Iq2Xxs {
  static constexpr std::size_t kBytes = 66, kWeights = 256;
  const u8* points = points_iq2_xxs();
  template <class Use>
  void decode(const u8* block, Use use) const {
    for (std::size_t g = 0; g < 8; ++g) {
      const u8* const indices = block + 2 + 8 * g;
      const std::uint32_t word = dword_at(indices + 4);
      const float scale = scale_of(half_at(block), word >> 28, 0.125f);
      for (std::size_t k = 0; k < 4; k += 2)
        use(32 * g + 8 * k, signed_weights(point_of_8(points, indices[k]), point_of_8(points, indices[k + 1]),
                                           even_signs(word >> (7 * k)) | even_signs(word >> (7 * k + 7)) << 8, scale));
    }
  }
};

struct Iq2Xs {
  static constexpr std::size_t kBytes = 74, kWeights = 256;
  const u8* points = points_iq2_xs();
  template <class Use>
  void decode(const u8* block, Use use) const {
    for (std::size_t g = 0; g < 16; ++g) {
      const std::uint32_t words = dword_at(block + 2 + 4 * g);
      use(16 * g, signed_weights(point_of_8(points, words & 511u), point_of_8(points, words >> 16 & 511u),
                                 even_signs(words >> 9) | even_signs(words >> 25) << 8,
                                 scale_of(half_at(block), nibble(block + 66, g), 0.125f)));
    }
  }
};

struct Iq2S {
  static constexpr std::size_t kBytes = 82, kWeights = 256;
  const u8* points = points_iq2_s();
  template <class Use>
  void decode(const u8* block, Use use) const {
    for (std::size_t g = 0; g < 16; ++g) {
      const unsigned high = nibble(block + 66, g);
      use(16 * g, signed_weights(point_of_8(points, block[2 + 2 * g] | (high & 3u) << 8),
                                 point_of_8(points, block[3 + 2 * g] | (high >> 2) << 8), word_at(block + 34 + 2 * g),
                                 scale_of(half_at(block), nibble(block + 74, g), 0.125f)));
    }
  }
};

struct Iq3Xxs {
  static constexpr std::size_t kBytes = 98, kWeights = 256;
  const u8* points = points_iq3_xxs();
  template <class Use>
  void decode(const u8* block, Use use) const {
    for (std::size_t g = 0; g < 16; ++g) {
      const u8* const indices = block + 2 + 4 * g;
      const std::uint32_t word = dword_at(block + 66 + 4 * (g / 2)), signs = word >> (14 * (g % 2));
      use(16 * g,
          signed_weights(points_of_4(points, indices[0], indices[1]), points_of_4(points, indices[2], indices[3]),
                         even_signs(signs) | even_signs(signs >> 7) << 8, scale_of(half_at(block), word >> 28, 0.25f)));
    }
  }
};

struct Iq3S {
  static constexpr std::size_t kBytes = 110, kWeights = 256;
  const u8* points = points_iq3_s();
  template <class Use>
  void decode(const u8* block, Use use) const {
    for (std::size_t g = 0; g < 16; ++g) {
      const u8* const low = block + 2 + 4 * g;
      const unsigned high = nibble(block + 66, g);
      const auto index = [&](unsigned k) { return low[k] | (high >> k & 1u) << 8; };
      use(16 * g,
          signed_weights(points_of_4(points, index(0), index(1)), points_of_4(points, index(2), index(3)),
                         word_at(block + 74 + 2 * g), scale_of(half_at(block), nibble(block + 106, g / 2), 1.0f)));
    }
  }
};

/// weight = scale * (level + delta), of eight weights with a delta of their own; levels are stored one higher.
inline Floats shifted_weights(std::uint64_t low, std::uint64_t high, bool low_negative, bool high_negative,
                              float scale) {
  const Words negative = spread_bits<31>((low_negative ? 0xFFu : 0u) | (high_negative ? 0xFF00u : 0u));
  const Floats delta = from_bits(bits_of(all(0.125f)) | negative);
  return all(scale) * (floats_of(bytes_of(low, high)) - all(1.0f) + delta);
}

struct Iq1S {
  static constexpr std::size_t kBytes = 50, kWeights = 256;
  const u8* points = points_iq1();
  template <class Use>
  void decode(const u8* block, Use use) const {
    for (std::size_t g = 0; g < 16; ++g) {
      const unsigned word = word_at(block + 34 + 2 * (g / 2)), high = word >> (6 * (g % 2));
      const bool negative = (word & 0x8000u) != 0;
      use(16 * g, shifted_weights(point_of_8(points, block[2 + 2 * g] | (high & 7u) << 8),
                                  point_of_8(points, block[3 + 2 * g] | (high >> 3 & 7u) << 8), negative, negative,
                                  scale_of(half_at(block), word >> 12 & 7u, 1.0f)));
    }
  }
};

struct Iq1M {
  static constexpr std::size_t kBytes = 56, kWeights = 256;
  const u8* points = points_iq1();
  template <class Use>
  void decode(const u8* block, Use use) const {
    std::uint32_t d = 0;  // its nibbles are the high ones of the four words of scales
    for (std::size_t k = 0; k < 4; ++k) d |= (word_at(block + 48 + 2 * k) >> 12) << (4 * k);
    for (std::size_t g = 0; g < 16; ++g) {
      const unsigned high = block[32 + g], code = word_at(block + 48 + 2 * (g / 4)) >> (3 * (g % 4)) & 7u;
      use(16 * g, shifted_weights(point_of_8(points, block[2 * g] | (high & 7u) << 8),
                                  point_of_8(points, block[2 * g + 1] | (high >> 4 & 7u) << 8), (high & 8u) != 0,
                                  (high & 128u) != 0, scale_of(float_of_half(d), code, 1.0f)));
    }
  }
};

}  // namespace
}  // namespace strata::codec
