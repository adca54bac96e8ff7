// The blocks of ggml over the sixteen lanes of a lanes_*.h, each as docs/formats/gguf.md says, one rounding an
// operation. A type says how many bytes and weights a block has, and hands out its weights: use(at, Floats) for weights
// [at, at + 16) of the block, in rising order or not. What is done with them is the business of `use`: blocks_inl.h
// stores them or multiplies by them. The codebook types are in unpack_grids_inl.h.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "codec/bits_inl.h"
#include "codec/ggml/blocks.h"

namespace strata::codec {
namespace {

using u8 = std::uint8_t;

inline std::uint32_t word_at(const u8* p) { return number_at<std::uint16_t>(p); }
inline std::uint32_t dword_at(const u8* p) { return number_at<std::uint32_t>(p); }
inline std::uint64_t qword_at(const u8* p) { return number_at<std::uint64_t>(p); }
inline float half_at(const u8* p) { return float_of_half(word_at(p)); }

// Codes of sixteen bytes.
inline Words low_nibbles(Words bytes) { return bytes & all_words(15); }
inline Words high_nibbles(Words bytes) { return shift_right<4>(bytes); }
inline Floats negated(Floats a) { return all(-0.0f) - a; }

/// Bit kFrom of each lane in place kTo; the bits above follow it.
template <unsigned kFrom, unsigned kTo>
inline Words moved(Words a) {
  if constexpr (kFrom < kTo)
    return shift_left<kTo - kFrom>(a);
  else if constexpr (kFrom == kTo)
    return a;
  else
    return shift_right<kFrom - kTo>(a);
}

/// Twice sixteen weights: the codes at `low` are the low nibbles of sixteen bytes, those at `high` the high ones.
template <class Weights, class Use>
inline void use_nibbles(const u8* packed, std::size_t low, std::size_t high, Weights of_low, Weights of_high, Use use) {
  const Words bytes = load_bytes(packed);
  use(low, weights(of_low, bytes));
  use(high, weights(of_high, high_nibbles(bytes)));
}

/// weight = scale * (code + lowest)
inline Floats scaled(Words codes, Floats scale, int lowest = 0) {
  return scale * floats_of(codes + all_words(static_cast<std::uint32_t>(lowest)));
}
/// weight = scale * code - min
inline Floats affine(Words codes, Floats scale, Floats min_) { return scale * floats_of(codes) - min_; }

/// Scales and mins of the eight groups of a Q4_K or Q5_K block, 6 bits each in 12 bytes: d * code of the scales, then
/// dmin * code of the mins.
inline Floats scales_and_mins(const u8* block) {
  const std::uint64_t low = qword_at(block + 4), high = dword_at(block + 12);
  constexpr std::uint64_t kSix = 0x3F3F3F3F3F3F3F3Fu, kFour = 0x0F0F0F0Fu, kTop = 0x30303030u;
  const std::uint64_t first = low & kSix;  // scales 0 to 3, mins 0 to 3
  const std::uint64_t scales = (high & kFour) | (low >> 2 & kTop), mins = (high >> 4 & kFour) | (low >> 34 & kTop);
  const Words codes = bytes_of((first & 0xFFFFFFFFu) | scales << 32, first >> 32 | mins << 32);
  return select(lane_numbers() < all_words(8), all_half(block), all_half(block + 2)) * floats_of(codes);
}

/// d * code of the eight groups of an IQ4_XS block.
inline Floats scales_of_iq4_xs(const u8* block) {
  const Words low = low_nibbles(nibbles_at(block + 4)), high = bytes_of(spread(word_at(block + 2), 2), 0);
  return all_half(block) * floats_of((low | shift_left<4>(high)) + all_words(static_cast<std::uint32_t>(-32)));
}

/// d * code of the sixteen groups of a Q3_K block, codes of 6 bits less 32: low four bits, then the high two.
inline Floats q3_k_scales(const u8* s, Floats d) {
  constexpr std::uint64_t kFour = 0x0F0F0F0F0F0F0F0Fu, kTop = 0x3030303030303030u;
  const std::uint64_t low = qword_at(s), high = dword_at(s + 8);
  const std::uint64_t tops = high | high >> 2 << 32;  // bits 0 and 1 of each byte; then bits 4 and 5
  const Words codes = bytes_of((low & kFour) | (tops << 4 & kTop), (low >> 4 & kFour) | (tops & kTop));
  return d * floats_of(codes + all_words(static_cast<std::uint32_t>(-32)));
}

struct Q8_0 {
  static constexpr std::size_t kBytes = 34, kWeights = 32;
  template <class Use>
  static void decode(const u8* block, Use use) {
    const Floats d = all_half(block);
    unrolled<2>([&](auto i) { use(16 * i, d * floats_of(load_signed_bytes(block + 2 + 16 * i))); });
  }
};

struct Q4_0 {
  static constexpr std::size_t kBytes = 18, kWeights = 32;
  template <class Use>
  static void decode(const u8* block, Use use) {
    const Line line = line_of(all_half(block), -8);
    use_nibbles(block + 2, 0, 16, line, line, use);
  }
};

struct Q4_1 {
  static constexpr std::size_t kBytes = 20, kWeights = 32;
  template <class Use>
  static void decode(const u8* block, Use use) {
    const Line line = line_of(all_half(block), 0, negated(all_half(block + 2)));
    use_nibbles(block + 4, 0, 16, line, line, use);
  }
};

struct Q5_0 {
  static constexpr std::size_t kBytes = 22, kWeights = 32;
  template <class Use>
  static void decode(const u8* block, Use use) {
    const Floats d = all_half(block);
    const Words bytes = load_bytes(block + 6);
    const std::uint32_t fifth = dword_at(block + 2);
    use(0, scaled(low_nibbles(bytes) | spread_bits<4>(fifth), d, -16));
    use(16, scaled(high_nibbles(bytes) | spread_bits<4>(fifth >> 16), d, -16));
  }
};

struct Q5_1 {
  static constexpr std::size_t kBytes = 24, kWeights = 32;
  template <class Use>
  static void decode(const u8* block, Use use) {
    const Floats d = all_half(block), min_ = negated(all_half(block + 2));
    const Words bytes = load_bytes(block + 8);
    const std::uint32_t fifth = dword_at(block + 4);
    use(0, affine(low_nibbles(bytes) | spread_bits<4>(fifth), d, min_));
    use(16, affine(high_nibbles(bytes) | spread_bits<4>(fifth >> 16), d, min_));
  }
};

struct Q4_K {
  static constexpr std::size_t kBytes = 144, kWeights = 256;
  template <class Use>
  static void decode(const u8* block, Use use) {
    const Each of(scales_and_mins(block));
    const auto line = [&](std::size_t group) { return line_of(of[group], 0, of[8 + group]); };
    unrolled<4>([&](auto pair) {
      const Line low = line(2 * pair), high = line(2 * pair + 1);
      unrolled<2>([&](auto i) {
        use_nibbles(block + 16 + 32 * pair + 16 * i, 64 * pair + 16 * i, 64 * pair + 32 + 16 * i, low, high, use);
      });
    });
  }
};

struct Q5_K {
  static constexpr std::size_t kBytes = 176, kWeights = 256;
  template <class Use>
  static void decode(const u8* block, Use use) {
    const Each of(scales_and_mins(block));
    unrolled<2>([&](auto i) {
      const Words fifths = load_bytes(block + 16 + 16 * i);
      unrolled<4>([&](auto pair) {
        const Words bytes = load_bytes(block + 48 + 32 * pair + 16 * i);
        const auto use_group = [&](auto group, Words low) {
          const Words fifth = moved<group, 4>(fifths) & all_words(16);
          use(32 * group + 16 * i, affine(low | fifth, of[group], of[8 + group]));
        };
        use_group(Constant<2 * pair>{}, low_nibbles(bytes));
        use_group(Constant<2 * pair + 1>{}, high_nibbles(bytes));
      });
    });
  }
};

struct Q6_K {
  static constexpr std::size_t kBytes = 210, kWeights = 256;
  template <class Use>
  static void decode(const u8* block, Use use) {
    const Each scales(all_half(block + 208) * floats_of(load_signed_bytes(block + 192)));
    unrolled<4>([&](auto quarter) {  // of groups that share 32 low and 16 high bytes: even or odd ones of a half
      const std::size_t half = quarter / 2, odd = quarter % 2;
      const Words tops = load_bytes(block + 128 + 32 * half + 16 * odd);
      const Words first = load_bytes(block + 64 * half + 16 * odd),
                  second = load_bytes(block + 64 * half + 32 + 16 * odd);
      const auto use_group = [&](auto part, Words low) {
        const std::size_t group = 8 * half + 2 * part + odd;
        use(16 * group, scaled(low | (moved<2 * part, 4>(tops) & all_words(48)), scales[group], -32));
      };
      use_group(Constant<0>{}, low_nibbles(first));
      use_group(Constant<1>{}, low_nibbles(second));
      use_group(Constant<2>{}, high_nibbles(first));
      use_group(Constant<3>{}, high_nibbles(second));
    });
  }
};

struct Q2_K {
  static constexpr std::size_t kBytes = 84, kWeights = 256;
  template <class Use>
  static void decode(const u8* block, Use use) {
    const Words codes = load_bytes(block);
    const Each scales(all_half(block + 80) * floats_of(low_nibbles(codes)));
    const Each mins(all_half(block + 82) * floats_of(high_nibbles(codes)));
    unrolled<4>([&](auto quarter) {  // even or odd groups of a half share sixteen bytes
      const std::size_t half = quarter / 2, odd = quarter % 2;
      const Words bytes = load_bytes(block + 16 + 32 * half + 16 * odd);
      unrolled<4>([&](auto part) {
        const std::size_t group = 8 * half + 2 * part + odd;
        use(16 * group, affine(shift_right<2 * part>(bytes) & all_words(3), scales[group], mins[group]));
      });
    });
  }
};

struct Q3_K {
  static constexpr std::size_t kBytes = 110, kWeights = 256;
  template <class Use>
  static void decode(const u8* block, Use use) {
    const Each scales(q3_k_scales(block + 96, all_half(block + 108)));
    unrolled<4>([&](auto quarter) {  // even or odd groups of a half share sixteen bytes of low bits
      constexpr unsigned half = quarter / 2, odd = quarter % 2;
      const Words low = load_bytes(block + 32 + 32 * half + 16 * odd), high = load_bytes(block + 16 * odd);
      unrolled<4>([&](auto part) {
        constexpr unsigned group = 8 * half + 2 * part + odd;
        const Words code = (shift_right<2 * part>(low) & all_words(3)) | (moved<group / 2, 2>(high) & all_words(4));
        use(16 * group, scaled(code, scales[group], -4));
      });
    });
  }
};

struct Iq4Nl {
  static constexpr std::size_t kBytes = 18, kWeights = 32;
  template <class Use>
  static void decode(const u8* block, Use use) {
    const Book book = book_of(kIq4Levels, all_half(block));
    use_nibbles(block + 2, 0, 16, book, book, use);
  }
};

struct Iq4Xs {
  static constexpr std::size_t kBytes = 136, kWeights = 256;
  template <class Use>
  static void decode(const u8* block, Use use) {
    const Each scales(scales_of_iq4_xs(block));
    unrolled<8>([&](auto group) {
      const Book book = book_of(kIq4Levels, scales[group]);
      use_nibbles(block + 8 + 16 * group, 32 * group, 32 * group + 16, book, book, use);
    });
  }
};

/// Five digits to base 3 are a byte b = ceil(number * 256 / 243); the digit times 3^k in front is (b * 3^k mod 256) * 3
/// / 256.
struct Tq1_0 {
  static constexpr std::size_t kBytes = 54, kWeights = 256;
  template <class Use>
  static void decode(const u8* block, Use use) {
    constexpr std::uint32_t powers[] = {1, 3, 9, 27, 81};
    const Floats d = all_half(block + 52);
    const auto digits = [&](Words bytes, std::uint32_t power) {
      const Words digit = shift_right<8>((bytes * all_words(power) & all_words(255)) * all_words(3));
      return scaled(digit, d, -1);
    };
    unrolled<5>([&](auto k) {
      unrolled<2>([&](auto i) { use(32 * k + 16 * i, digits(load_bytes(block + 16 * i), powers[k])); });
    });
    unrolled<5>([&](auto k) { use(160 + 16 * k, digits(load_bytes(block + 32), powers[k])); });
    // The last four bytes: sixteen weights, four of every power.
    std::uint32_t packed = dword_at(block + 48);
    std::uint8_t last[16];
    for (std::size_t k = 0; k < 4; ++k)
      for (std::size_t i = 0; i < 4; ++i) last[4 * k + i] = static_cast<u8>((packed >> 8 * i & 255u) * powers[k]);
    use(240, digits(load_bytes(last), 1));
  }
};

struct Tq2_0 {
  static constexpr std::size_t kBytes = 66, kWeights = 256;
  template <class Use>
  static void decode(const u8* block, Use use) {
    const Floats d = all_half(block + 64);
    unrolled<16>([&](auto k) {
      const Words bytes = load_bytes(block + 32 * (k / 8) + 16 * (k % 2));
      use(16 * k, scaled(shift_right<2 * (k / 2 % 4)>(bytes) & all_words(3), d, -1));
    });
  }
};

struct Q1_0 {
  static constexpr std::size_t kBytes = 18, kWeights = 128;
  template <class Use>
  static void decode(const u8* block, Use use) {
    const Words d = bits_of(all_half(block));
    unrolled<8>([&](auto k) {  // a carry out of the top bit is lost: this turns the sign
      use(16 * k, from_bits(d + spread_bits<31>(~word_at(block + 2 + 2 * k) & 0xFFFFu)));
    });
  }
};

struct Q2_0 {
  static constexpr std::size_t kBytes = 18, kWeights = 64;
  template <class Use>
  static void decode(const u8* block, Use use) {
    const Floats d = all_half(block);
    unrolled<4>([&](auto k) {
      const u8* const packed = block + 2 + 4 * k;
      use(16 * k, scaled(bytes_of(spread(word_at(packed), 2), spread(word_at(packed + 2), 2)), d, -1));
    });
  }
};

struct Mxfp4 {
  static constexpr std::size_t kBytes = 17, kWeights = 32;
  template <class Use>
  static void decode(const u8* block, Use use) {
    // Half of 2^(e - 127), as the levels are doubled; the smallest two are subnormal.
    const std::uint32_t e = block[0];
    const Book book = book_of(kE2m1Doubled, all(float_of_bits(e < 2 ? 0x00200000u << e : (e - 1) << 23)));
    use_nibbles(block + 1, 0, 16, book, book, use);
  }
};

struct Nvfp4 {
  static constexpr std::size_t kBytes = 36, kWeights = kNvfp4Block;
  template <class Use>
  static void decode(const u8* block, Use use) {
    unrolled<4>([&](auto group) {
      const unsigned code = block[group], exponent = code >> 3 & 15u, mantissa = code & 7u;
      const float unit = exponent == 0 ? 0x1p-9f : float_of_bits((exponent + 117u) << 23);
      const bool none = code == 0 || code == 0x7F;
      const float scale = none ? 0.0f : unit * static_cast<float>(exponent == 0 ? mantissa : 8 + mantissa) * 0.5f;
      const std::uint64_t packed = qword_at(block + 4 + 8 * group);
      constexpr std::uint64_t kNibbles = 0x0F0F0F0F0F0F0F0Fu;
      const Words codes = bytes_of(packed & kNibbles, packed >> 4 & kNibbles);
      use(16 * group, weights(book_of(kE2m1Doubled, all(scale)), codes));
    });
  }
};

}  // namespace
}  // namespace strata::codec
