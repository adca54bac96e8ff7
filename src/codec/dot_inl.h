// Products of stored rows with a few rows of activations: weights are decoded sixteen at a time into a register and
// used there. The loops over rows and tokens and the sums are here once, for every codec. Sums run over rising columns,
// of one token in four turns: neither the number of rows nor that of threads changes them.
#pragma once
#include "codec/bits_inl.h"
#include "codec/rows_inl.h"

namespace strata::codec {
namespace {

/// One token. Four sums take turns, as a fused sum takes longer than decoding sixteen weights. `at` is a constant once
/// the decoders are inlined, so that the sums are registers.
class OneToken {
 public:
  explicit OneToken(const float* x) : x_(x) {}
  /// Weights [at, at + 16) from where the last advance led to.
  [[gnu::always_inline]] void add(std::size_t at, Floats weights_) {
    Floats& turn = turns_[at / kLanes % 4];
    turn = fused(weights_, load(x_ + at), turn);
  }
  void advance(std::size_t count) { x_ += count; }
  float total() const { return sum((turns_[0] + turns_[1]) + (turns_[2] + turns_[3])); }

 private:
  const float* x_;
  Floats turns_[4] = {all(0.0f), all(0.0f), all(0.0f), all(0.0f)};
};

/// kTogether tokens with a sum each.
class FewTokens {
 public:
  FewTokens(const float* x, std::size_t stride) : x_(x), stride_(stride) {}
  [[gnu::always_inline]] void add(std::size_t at, Floats weights_) {
    for (std::size_t t = 0; t < kTogether; ++t) sums_[t] = fused(weights_, load(x_ + t * stride_ + at), sums_[t]);
  }
  void advance(std::size_t count) { x_ += count; }
  float total(std::size_t t) const { return sum(sums_[t]); }

 private:
  const float* x_;
  std::size_t stride_;
  Floats sums_[kTogether] = {all(0.0f), all(0.0f), all(0.0f), all(0.0f)};
};

/// Asks for the next kBytes bytes of the stream of rows, before they are needed: rows lie one after the other. Nothing
/// is read that is not there.
template <std::size_t kBytes>
inline void prefetch(const std::uint8_t* in) {
  constexpr std::size_t kAhead = 4096, kLine = 64;
  unrolled<(kBytes + kLine - 1) / kLine>([&](auto line) { __builtin_prefetch(in + kAhead + kLine * line); });
}

/// y[t * y_stride + r] for r < rows. row(r, sums) hands the weights of row r to the sums.
template <class Row>
inline void dot_rows(std::size_t rows, FewRows x, float* y, std::size_t y_stride, Row row) {
  for (std::size_t r = 0; r < rows; ++r) {
    if (x.tokens == 1) {
      OneToken sums(x.data);
      row(r, sums);
      y[r] = sums.total();
      continue;
    }
    for (std::size_t first = 0; first < x.tokens; first += kTogether) {
      FewTokens sums(x.data + first * x.stride, x.stride);
      row(r, sums);
      for (std::size_t t = 0; t < kTogether && first + t < x.tokens; ++t) y[(first + t) * y_stride + r] = sums.total(t);
    }
  }
}

constexpr std::size_t kStep = 64;  // columns of a step of dot_groups

/// One row of codes in groups of kPiece weights, or, when kPiece is kStep, of `group_size`, a multiple of it or the
/// whole row. group(g) gives what makes weights of sixteen codes of group g.
template <std::size_t kPiece, class Stream, class Group>
inline void dot_groups(Stream stream, std::size_t group_size, FewRows x, float* y, std::size_t y_stride, Group group) {
  dot_rows(1, x, y, y_stride, [&](std::size_t, auto& sums) {
    std::size_t g = 0, left = group_size, c = 0;
    for (; c + kStep <= x.cols; c += kStep, sums.advance(kStep)) {
      prefetch<kStep * Stream::kBits / 8>(stream.data + c / 8 * Stream::kBits);
      unrolled<kStep / kPiece>([&](auto p) {
        const auto weights_of = group(g + p);
        unrolled<kPiece / kLanes>([&](auto k) {
          const std::size_t at = kPiece * p + kLanes * k;
          sums.add(at, weights_of(stream.codes(c + at, kLanes)));
        });
      });
      left -= kStep;
      if (kPiece < kStep) {
        g += kStep / kPiece;
      } else if (left == 0) {
        ++g;
        left = group_size;
      }
    }
    unrolled<kStep / kLanes>([&](auto k) {
      const std::size_t at = kLanes * k;
      if (c + at >= x.cols) return;
      const std::size_t rest = x.cols - c - at;
      sums.add(at, group(kPiece < kStep ? g + at / kPiece : g)(stream.codes(c + at, rest < kLanes ? rest : kLanes)));
    });
  });
}

/// dot_groups for groups of kSmall weights, or of multiples of kStep.
template <std::size_t kSmall, class Stream, class Group>
inline void dot_sizes(Stream stream, std::size_t group_size, FewRows x, float* y, std::size_t y_stride, Group group) {
  if (group_size == kSmall)
    dot_groups<kSmall>(stream, group_size, x, y, y_stride, group);
  else
    dot_groups<kStep>(stream, group_size, x, y, y_stride, group);
}

// The streams in which codes of kBits bits lie. codes(at, count): sixteen codes from code `at` on, of which the first
// `count`, fewer than all at the end of the row, exist.
struct NibbleStream {
  static constexpr unsigned kBits = 4;
  const std::uint8_t* data;
  Words codes(std::size_t at, std::size_t count) const {
    if (count == kLanes) return nibbles_at(data + at / 2);
    std::uint8_t padded[kLanes / 2] = {};
    std::memcpy(padded, data + at / 2, (count + 1) / 2);
    return nibbles_at(padded);
  }
};
struct ByteStream {
  static constexpr unsigned kBits = 8;
  const std::uint8_t* data;
  Words codes(std::size_t at, std::size_t count) const { return load_some_bytes(data + at, count); }
};
struct SignedByteStream {
  static constexpr unsigned kBits = 8;
  const std::uint8_t* data;
  Words codes(std::size_t at, std::size_t count) const {
    if (count == kLanes) return load_signed_bytes(data + at);
    std::uint8_t padded[kLanes] = {};
    std::memcpy(padded, data + at, count);
    return load_signed_bytes(padded);
  }
};
struct HalfStream {
  static constexpr unsigned kBits = 16;
  const std::uint8_t* data;
  Words codes(std::size_t at, std::size_t count) const {
    if (count == kLanes) return load_halves(data + 2 * at);
    std::uint8_t padded[2 * kLanes] = {};
    std::memcpy(padded, data + 2 * at, 2 * count);
    return load_halves(padded);
  }
};
template <unsigned kCodeBits>
struct BitStream {
  static constexpr unsigned kBits = kCodeBits;
  const std::uint8_t* data;
  Words codes(std::size_t at, std::size_t count) const {
    const std::uint8_t* in = data + at / 8 * kBits;
    std::uint8_t padded[2 * kBits] = {};
    if (count < kLanes) in = static_cast<std::uint8_t*>(std::memcpy(padded, in, (count * kBits + 7) / 8));
    // Eight codes make kBits bytes. They are read as numbers that lie within the sixteen's.
    std::uint64_t first, second;
    if constexpr (kBits >= 4) {
      first = number_at<std::uint64_t>(in);
      second = number_at<std::uint64_t>(in + 2 * kBits - 8) >> (64 - 8 * kBits);
    } else {
      first = number_at<std::uint16_t>(in) | std::uint64_t{number_at<std::uint16_t>(in + 2)} << 16 |
              std::uint64_t{number_at<std::uint16_t>(in + 2 * kBits - 2)} << (16 * kBits - 16);
      second = first >> (8 * kBits);
    }
    return bytes_of(spread(first, kBits), spread(second, kBits));
  }
};

/// weight = (code - offset) * scale, the offset and the scale those of a group.
template <class Stream>
inline void dot_integers(Stream stream, float offset, std::size_t group_size, const float* scales,
                         const float* zero_points, FewRows x, float* y, std::size_t y_stride) {
  const auto dot_from = [=](auto from) {
    dot_sizes<32>(stream, group_size, x, y, y_stride, [=](std::size_t g) {
      return [scale = all(scales[g]), lowest = all(from(g))](Words code) { return (floats_of(code) - lowest) * scale; };
    });
  };
  if (zero_points == nullptr) return dot_from([=](std::size_t) { return offset; });
  dot_from([=](std::size_t g) { return offset + zero_points[g]; });
}

void dot_int(IntegerCodes codes, std::size_t group_size, const float* scales, const float* zero_points, FewRows x,
             float* y, std::size_t y_stride) {
  const auto dot = [=](auto stream, unsigned bits) {
    const float half = bits == 0 ? 0.0f : static_cast<float>(1u << (bits - 1));
    dot_integers(stream, half, group_size, scales, zero_points, x, y, y_stride);
  };
  if (codes.signed_bytes) return dot(SignedByteStream{codes.data}, 0);
  switch (codes.bits) {
    case 2:
      return dot(BitStream<2>{codes.data}, 2);
    case 3:
      return dot(BitStream<3>{codes.data}, 3);
    case 5:
      return dot(BitStream<5>{codes.data}, 5);
    case 6:
      return dot(BitStream<6>{codes.data}, 6);
    case 7:
      return dot(BitStream<7>{codes.data}, 7);
    case 8:
      return dot(ByteStream{codes.data}, 8);
    default:
      break;
  }
  const auto dot_lines = [=](auto lowest) {
    dot_sizes<32>(NibbleStream{codes.data}, group_size, x, y, y_stride, [=](std::size_t g) {
      return [line = line_of(all(scales[g]), lowest(g))](Words code) { return weights(line, code); };
    });
  };
  if (zero_points == nullptr) return dot_lines([](std::size_t) { return -8; });
  dot_lines([=](std::size_t g) { return -8 - static_cast<int>(zero_points[g]); });
}

void dot_affine(IntegerCodes codes, std::size_t group_size, const float* scales, const float* mins, FewRows x, float* y,
                std::size_t y_stride) {
  const auto dot = [=](auto stream) {
    dot_sizes<32>(stream, group_size, x, y, y_stride, [=](std::size_t g) {
      return [scale = all(scales[g]), min_ = all(mins[g])](Words code) { return floats_of(code) * scale - min_; };
    });
  };
  switch (codes.bits) {
    case 2:
      return dot(BitStream<2>{codes.data});
    case 3:
      return dot(BitStream<3>{codes.data});
    case 5:
      return dot(BitStream<5>{codes.data});
    case 6:
      return dot(BitStream<6>{codes.data});
    case 8:
      return dot(ByteStream{codes.data});
    default:
      break;
  }
  dot_sizes<32>(NibbleStream{codes.data}, group_size, x, y, y_stride, [=](std::size_t g) {
    return [line = line_of(all(scales[g]), 0, all(mins[g]))](Words code) { return weights(line, code); };
  });
}

inline Floats scale_at(Scales scales, std::size_t g) {
  return all(scales.values[scales.codes == nullptr ? g : scales.codes[g]]);
}

/// Whether a row of E4M3 has a NaN code, or a scale that 2^120 times as large is no number.
inline bool has_extremes(const std::uint8_t* codes, std::size_t group_size, const Scales& scales, std::size_t cols) {
  std::uint64_t any = 0;  // a top bit for a code whose other bits are all ones
  constexpr std::uint64_t kOnes = 0x0101010101010101u;
  std::size_t c = 0;
  for (; c + 8 <= cols; c += 8) any |= (number_at<std::uint64_t>(codes + c) & 0x7F * kOnes) + kOnes;
  for (; c < cols; ++c) any |= (codes[c] & 0x7Fu) + 1;
  bool extreme = (any & 0x80 * kOnes) != 0;
  for (std::size_t g = 0; g * group_size < cols; ++g) {
    const float scale = scales.values[scales.codes == nullptr ? g : scales.codes[g]];
    extreme |= !(scale < 64.0f && -64.0f < scale);
  }
  return extreme;
}

void dot_e4m3(const std::uint8_t* codes, std::size_t group_size, Scales scales, FewRows x, float* y,
              std::size_t y_stride) {
  if (!has_extremes(codes, group_size, scales, x.cols)) {
    // The bits of a code in their place in a float are 2^-120 times its value, subnormals included.
    return dot_sizes<32>(ByteStream{codes}, group_size, x, y, y_stride, [=](std::size_t g) {
      return [scale = all(0x1p120f) * scale_at(scales, g)](Words code) {
        return from_bits(shift_right_signed<4>(shift_left<24>(code)) & all_words(0x87F00000u)) * scale;
      };
    });
  }
  dot_sizes<32>(ByteStream{codes}, group_size, x, y, y_stride, [=](std::size_t g) {
    return [scale = scale_at(scales, g)](Words code) { return values_of_e4m3(code) * scale; };
  });
}

void dot_e2m1(const std::uint8_t* packed, std::size_t group_size, Scales scales, FewRows x, float* y,
              std::size_t y_stride) {
  const auto group = [=](std::size_t g) {
    return [book = book_of(kE2m1Values, scale_at(scales, g))](Words code) { return weights(book, code); };
  };
  if (group_size == 16)
    dot_groups<16>(NibbleStream{packed}, group_size, x, y, y_stride, group);
  else
    dot_sizes<32>(NibbleStream{packed}, group_size, x, y, y_stride, group);
}

void dot_bf16(const unsigned char* in, FewRows x, float* y, std::size_t y_stride) {
  dot_groups<kStep>(HalfStream{in}, x.cols, x, y, y_stride,
                    [](std::size_t) { return [](Words code) { return from_bits(shift_left<16>(code)); }; });
}

}  // namespace
}  // namespace strata::codec
