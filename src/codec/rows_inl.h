// The row kernels, written once over the sixteen lanes of a lanes_*.h, which the including file chooses.
// Formulas: docs/formats/int.md, fp8.md, nvfp4.md, mxfp.md; each equals the scalar specification bit for bit.
#pragma once
#include "codec/variant.h"

namespace strata::codec {
namespace {

/// Calls step(offset, lanes, group) over a row, 16 weights at a time and fewer at the end of a group.
template <class Step>
inline void for_each_step(RowShape shape, Step step) {
  std::size_t group = 0;
  for (std::size_t start = 0; start < shape.count; start += shape.group_size, ++group) {
    const std::size_t end = shape.count - start < shape.group_size ? shape.count : start + shape.group_size;
    std::size_t i = start;
    for (; i + kLanes <= end; i += kLanes) step(i, kLanes, group);
    if (i < end) step(i, end - i, group);
  }
}

inline Floats load_some(const float* in, std::size_t lanes) {
  return lanes == kLanes ? load(in) : load_part(in, lanes);
}
inline void store_some(float* out, std::size_t lanes, Floats a) {
  if (lanes == kLanes)
    store(out, a);
  else
    store_part(out, lanes, a);
}
inline Words load_some_bytes(const std::uint8_t* in, std::size_t lanes) {
  if (lanes == kLanes) return load_bytes(in);
  std::uint8_t padded[kLanes] = {};
  std::memcpy(padded, in, lanes);
  return load_bytes(padded);
}
inline void store_some_bytes(std::uint8_t* out, std::size_t lanes, Words a) {
  if (lanes == kLanes) {
    store_bytes(out, a);
    return;
  }
  std::uint8_t padded[kLanes];
  store_bytes(padded, a);
  std::memcpy(out, padded, lanes);
}

inline Floats magnitude(Floats a) { return from_bits(bits_of(a) & all_words(0x7FFFFFFFu)); }

void widen_bf16(const unsigned char* in, std::size_t count, float* out) {
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(out + i, from_bits(shift_left<16>(load_halves(in + 2 * i))));
  if (i == count) return;
  unsigned char padded[2 * kLanes] = {};
  std::memcpy(padded, in + 2 * i, 2 * (count - i));
  store_part(out + i, count - i, from_bits(shift_left<16>(load_halves(padded))));
}

void group_ranges(const float* weights, RowShape shape, float* low, float* high) {
  Floats lows = all(0.0f), highs = all(0.0f);
  const auto finish = [&](std::size_t group) {
    float a[kLanes], b[kLanes], least = 0.0f, most = 0.0f;
    store(a, lows);
    store(b, highs);
    for (std::size_t k = 0; k < kLanes; ++k) {
      least = a[k] < least ? a[k] : least;
      most = b[k] > most ? b[k] : most;
    }
    low[group] = least;
    high[group] = most;
    lows = highs = all(0.0f);
  };
  std::size_t current = 0;
  for_each_step(shape, [&](std::size_t i, std::size_t lanes, std::size_t group) {
    if (group != current) finish(current);
    current = group;
    const Floats w = load_some(weights + i, lanes);
    lows = min(w, lows);
    highs = max(w, highs);
  });
  if (shape.count != 0) finish(current);
}

/// Clipping before rounding gives the same as after it, and keeps the sum below within f32's integers: adding
/// 1.5 * 2^23 leaves the integer, rounded half to even, in the low bits.
void round_int(const float* weights, RowShape shape, const GroupParams* groups, unsigned bits, std::uint8_t* codes) {
  const float half = static_cast<float>(1u << (bits - 1));
  const Floats least = all(-half), most = all(half - 1.0f), magic = all(12582912.0f + half);
  for_each_step(shape, [&](std::size_t i, std::size_t lanes, std::size_t group) {
    const Floats q = load_some(weights + i, lanes) / all(groups[group].scale) + all(groups[group].zero_point);
    store_some_bytes(codes + i, lanes, bits_of(min(max(q, least), most) + magic));
  });
}

void values_int(const std::uint8_t* codes, RowShape shape, const GroupParams* groups, unsigned bits, float* out) {
  // 2^23 | code is 2^23 + code as a float.
  const Words exponent = all_words(0x4B000000u);
  const float half = static_cast<float>(1u << (bits - 1));
  for_each_step(shape, [&](std::size_t i, std::size_t lanes, std::size_t group) {
    const Floats code = from_bits(load_some_bytes(codes + i, lanes) | exponent);
    const Floats q = code - all(8388608.0f + half + groups[group].zero_point);
    store_some(out + i, lanes, q * all(groups[group].scale));
  });
}

void values_affine(const std::uint8_t* codes, RowShape shape, const GroupParams* groups, float* out) {
  const Words exponent = all_words(0x4B000000u);
  for_each_step(shape, [&](std::size_t i, std::size_t lanes, std::size_t group) {
    const Floats code = from_bits(load_some_bytes(codes + i, lanes) | exponent) - all(8388608.0f);
    store_some(out + i, lanes, code * all(groups[group].scale) - all(groups[group].min));
  });
}

/// The code of a magnitude: kMantissa bits below kBias' exponent, saturated at `most`; half to even.
/// A magnitude below the smallest normal number is a multiple of 2^(1 - kBias - kMantissa): adding the float whose last
/// bit is that leaves the multiple in the low bits.
template <unsigned kMantissa, unsigned kBias>
inline Words round_magnitude(Floats magnitudes, float most) {
  constexpr unsigned kDrop = 23 - kMantissa;
  const Floats a = min(magnitudes, all(most));
  const Words b = bits_of(a);
  const Words odd = shift_right<kDrop>(b) & all_words(1);
  const Words normal =
      shift_right<kDrop>(b + all_words((1u << (kDrop - 1)) - 1) + odd) - all_words((127u - kBias) << kMantissa);
  const Words magic = all_words((127u + 1 - kBias + kDrop) << 23);
  const Words tiny = bits_of(a + from_bits(magic)) - magic;
  return select(a < from_bits(all_words((128u - kBias) << 23)), tiny, normal);
}

/// The inverse; a code below the smallest normal number is 1.xx at that exponent, less the 1.
template <unsigned kMantissa, unsigned kBias>
inline Floats magnitude_of_code(Words code) {
  const Words fraction = shift_left<23 - kMantissa>(code);
  const Words one = all_words((128u - kBias) << 23);
  const Floats normal = from_bits(fraction + all_words((127u - kBias) << 23));
  const Floats tiny = from_bits(fraction + one) - from_bits(one);
  return select(code < all_words(1u << kMantissa), tiny, normal);
}

void round_e4m3(const float* weights, RowShape shape, const GroupParams* groups, std::uint8_t* codes) {
  for_each_step(shape, [&](std::size_t i, std::size_t lanes, std::size_t group) {
    const Floats x = load_some(weights + i, lanes) / all(groups[group].scale);
    const Words sign = shift_right<24>(bits_of(x)) & all_words(0x80);
    const Words code = round_magnitude<3, 7>(magnitude(x), 448.0f);
    store_some_bytes(codes + i, lanes, select(is_nan(x), all_words(0x7F), code) | sign);
  });
}

inline Floats values_of_e4m3(Words code) {
  const Words nan_code = all_words(0x7F);
  const Words low = code & nan_code;
  const Words sign = shift_left<24>(code & all_words(0x80));
  const Words value = bits_of(magnitude_of_code<3, 7>(low)) | sign;
  const Words nan = all_words(0x7FC00000u);
  return from_bits(select(low < nan_code, value, nan));
}

void values_e4m3(const std::uint8_t* codes, RowShape shape, const GroupParams* groups, float* out) {
  for_each_step(shape, [&](std::size_t i, std::size_t lanes, std::size_t group) {
    store_some(out + i, lanes, values_of_e4m3(load_some_bytes(codes + i, lanes)) * all(groups[group].scale));
  });
}

void round_e2m1(const float* weights, RowShape shape, const GroupParams* groups, std::uint8_t* codes) {
  for_each_step(shape, [&](std::size_t i, std::size_t lanes, std::size_t group) {
    const Floats x = load_some(weights + i, lanes) / all(groups[group].scale);
    const Words sign = select(x < all(0.0f), all_words(8), all_words(0));
    const Words code = round_magnitude<1, 1>(magnitude(x), 6.0f);
    store_some_bytes(codes + i, lanes, select(is_nan(x), all_words(0), code) | sign);
  });
}

void values_e2m1(const std::uint8_t* codes, RowShape shape, const GroupParams* groups, float* out) {
  for_each_step(shape, [&](std::size_t i, std::size_t lanes, std::size_t group) {
    const Words code = load_some_bytes(codes + i, lanes);
    const Words sign = shift_left<28>(code & all_words(8));
    const Words value = bits_of(magnitude_of_code<1, 1>(code & all_words(7))) | sign;
    store_some(out + i, lanes, from_bits(value) * all(groups[group].scale));
  });
}

/// Eight codes make `bits` bytes; eight are written at once while the stream has them left, for the next step
/// overwrites what was too much.
void pack_bits(const std::uint8_t* codes, std::size_t count, unsigned bits, unsigned char* out) {
  if (bits == 8) {
    std::memcpy(out, codes, count);
    return;
  }
  std::size_t left = (count / 8) * bits + ((count % 8) * bits + 7) / 8;
  std::size_t i = 0;
  for (; i + 8 <= count && left >= 8; i += 8, out += bits, left -= bits) {
    std::uint64_t chunk;
    std::memcpy(&chunk, codes + i, 8);
    chunk = squeeze(chunk, bits);
    std::memcpy(out, &chunk, 8);
  }
  for (; i < count; i += 8) {
    std::uint64_t chunk = 0;
    std::memcpy(&chunk, codes + i, count - i < 8 ? count - i : 8);
    chunk = squeeze(chunk, bits);
    const std::size_t bytes = left < bits ? left : bits;
    std::memcpy(out, &chunk, bytes);
    out += bytes;
    left -= bytes;
  }
}

void unpack_bits(const unsigned char* in, std::size_t count, unsigned bits, std::uint8_t* codes) {
  if (bits == 8) {
    std::memcpy(codes, in, count);
    return;
  }
  std::size_t left = (count / 8) * bits + ((count % 8) * bits + 7) / 8;
  std::size_t i = 0;
  for (; i + 8 <= count && left >= 8; i += 8, in += bits, left -= bits) {
    std::uint64_t chunk;
    std::memcpy(&chunk, in, 8);
    chunk = spread(chunk, bits);
    std::memcpy(codes + i, &chunk, 8);
  }
  for (; i < count; i += 8) {
    const std::size_t bytes = left < bits ? left : bits;
    std::uint64_t chunk = 0;
    std::memcpy(&chunk, in, bytes);
    chunk = spread(chunk, bits);
    std::memcpy(codes + i, &chunk, count - i < 8 ? count - i : 8);
    in += bytes;
    left -= bytes;
  }
}

}  // namespace
}  // namespace strata::codec
