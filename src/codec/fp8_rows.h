// What the codecs of E4M3 codes share, whose scales are laid out differently: codes of a byte each in part 0, row after
// row, and reading rows whose groups have a scale each.
#pragma once
#include <algorithm>
#include <vector>

#include "codec/family.h"
#include "core/numbers.h"

namespace strata::codec::fp8 {

enum Part : std::size_t { kCodes, kScales };

inline std::uint8_t round(const Codec&, float weight, const GroupParams& group) {
  return float_to_e4m3(weight / group.scale);
}

inline float value(const Codec&, std::uint8_t code, const GroupParams& group) {
  return e4m3_to_float(code) * group.scale;
}

inline void round_row(const Variant& variant, const Codec& codec, const float* weights, const float*, std::size_t cols,
                      const GroupParams* groups, std::uint8_t* codes) {
  variant.round_e4m3(weights, row_shape(codec, cols), groups, codes);
}

inline void values_row(const Variant& variant, const Codec& codec, const std::uint8_t* codes, std::size_t cols,
                       const GroupParams* groups, float* out) {
  variant.values_e4m3(codes, row_shape(codec, cols), groups, out);
}

inline void store_codes(const Variant&, Stored& out, std::size_t row, const std::uint8_t* codes) {
  std::copy_n(codes, out.cols, bytes_of(out, kCodes) + row * out.cols);
}

/// Packs rows whose scales `store_groups` stores.
template <auto store_groups>
void pack(const Codec&, Stored& out, std::size_t row, std::size_t count, const std::uint8_t* codes,
          const GroupParams* groups, float tensor_scale) {
  std::copy_n(codes, count * out.cols, bytes_of(out, kCodes) + row * out.cols);
  store_groups(kVariantPortable, out, row, count, groups, tensor_scale);
}

/// Reads rows in groups; load_group(stored, row, group) finds a group's scale.
template <auto load_group>
struct InGroups {
  static void unpack(const Codec& codec, const Stored& in, std::size_t row, std::size_t col, std::size_t count,
                     float* out) {
    const unsigned char* const codes = bytes_of(in, kCodes) + row * in.cols + col;
    for (std::size_t i = 0; i < count; ++i)
      out[i] = value(codec, codes[i], load_group(in, row, group_of(codec, col + i)));
  }

  static void decode(const Variant& variant, const Stored& in, std::size_t row, std::size_t col, std::size_t count,
                     float* out) {
    const unsigned char* const codes = bytes_of(in, kCodes) + row * in.cols;
    const auto load = [&](std::size_t group) { return load_group(in, row, group); };
    each_piece(*in.codec, col, count, load,
               [&](std::size_t from, std::size_t to, RowShape shape, const GroupParams* groups) {
                 variant.values_e4m3(codes + from, shape, groups, out + to);
               });
  }

  static void dot(const Variant& variant, const Stored& in, std::size_t row, std::size_t rows, FewRows x, float* y,
                  std::size_t y_stride) {
    const std::size_t groups = in.codec->groups_per_row(in.cols);
    std::vector<float> scales(groups);
    for (std::size_t r = row; r < row + rows; ++r, ++y) {
      for (std::size_t g = 0; g < groups; ++g) scales[g] = load_group(in, r, g).scale;
      variant.dot_e4m3(bytes_of(in, kCodes) + r * in.cols, in.codec->group_size, {scales.data(), nullptr}, x, y,
                       y_stride);
    }
  }
};

}  // namespace strata::codec::fp8
