// fp8_block: E4M3 codes with a bf16 scale for every 128 x 128 weights (float-quantized, strategy block).
// Byte layout and formulas: docs/formats/fp8.md.
#include <algorithm>
#include <cmath>

#include "codec/family.h"
#include "core/checked.h"
#include "core/numbers.h"

namespace strata::codec {
namespace {

enum Part : std::size_t { kCodes, kScales };
constexpr std::size_t kSide = 128;  // of a block

/// All blocks have the scale of the tensor, a power of two: the precision of E4M3 is the same over 14 octaves.
GroupParams fit(const Codec&, std::span<const float>, std::span<const float>, ScaleFit, float tensor_scale) {
  return {.scale = tensor_scale};
}

std::uint8_t round(const Codec&, float weight, const GroupParams& group) { return float_to_e4m3(weight / group.scale); }

float value(const Codec&, std::uint8_t code, const GroupParams& group) { return e4m3_to_float(code) * group.scale; }

std::vector<PartSpec> layout(const Codec& codec, std::uint64_t rows, std::uint64_t cols) {
  return {{"weight", DType::e4m3, {rows, cols}},
          {"weight_scale", DType::bf16, {ceil_div(rows, kSide), codec.groups_per_row(cols)}}};
}

/// A block's scale is written with its first row.
void store_groups(const Variant&, Stored& out, std::size_t row, std::size_t count, const GroupParams* groups, float) {
  const std::size_t per_row = out.codec->groups_per_row(out.cols);
  for (std::size_t r = 0; r < count; ++r)
    for (std::size_t g = 0; g < per_row && (row + r) % kSide == 0; ++g)
      store_bf16(bytes_of(out, kScales), (row + r) / kSide * per_row + g, groups[r * per_row + g].scale);
}

void store_codes(const Variant&, Stored& out, std::size_t row, const std::uint8_t* codes) {
  std::copy_n(codes, out.cols, bytes_of(out, kCodes) + row * out.cols);
}

void pack(const Codec&, Stored& out, std::size_t row, std::size_t count, const std::uint8_t* codes,
          const GroupParams* groups, float tensor_scale) {
  std::copy_n(codes, count * out.cols, bytes_of(out, kCodes) + row * out.cols);
  store_groups(kVariantPortable, out, row, count, groups, tensor_scale);
}

GroupParams load_group(const Stored& in, std::size_t row, std::size_t group) {
  return {.scale = load_bf16(bytes_of(in, kScales), row / kSide * in.codec->groups_per_row(in.cols) + group)};
}

void unpack(const Codec& codec, const Stored& in, std::size_t row, std::size_t col, std::size_t count, float* out) {
  const unsigned char* const codes = bytes_of(in, kCodes) + row * in.cols + col;
  for (std::size_t i = 0; i < count; ++i)
    out[i] = value(codec, codes[i], load_group(in, row, group_of(codec, col + i)));
}

void fit_row(const Variant&, const Codec& codec, const float*, const float*, std::size_t cols, ScaleFit,
             float tensor_scale, GroupParams* groups) {
  std::fill_n(groups, codec.groups_per_row(cols), GroupParams{.scale = tensor_scale});
}

void round_row(const Variant& variant, const Codec& codec, const float* weights, const float*, std::size_t cols,
               const GroupParams* groups, std::uint8_t* codes) {
  variant.round_e4m3(weights, row_shape(codec, cols), groups, codes);
}

void values_row(const Variant& variant, const Codec& codec, const std::uint8_t* codes, std::size_t cols,
                const GroupParams* groups, float* out) {
  variant.values_e4m3(codes, row_shape(codec, cols), groups, out);
}

void decode(const Variant& variant, const Stored& in, std::size_t row, std::size_t col, std::size_t count, float* out) {
  const unsigned char* const codes = bytes_of(in, kCodes) + row * in.cols;
  const auto load = [&](std::size_t group) { return load_group(in, row, group); };
  each_piece(*in.codec, col, count, load,
             [&](std::size_t from, std::size_t to, RowShape shape, const GroupParams* groups) {
               variant.values_e4m3(codes + from, shape, groups, out + to);
             });
}

void dot(const Variant& variant, const Stored& in, std::size_t row, std::size_t rows, FewRows x, float* y,
         std::size_t y_stride) {
  const std::size_t groups = in.codec->groups_per_row(in.cols);
  std::vector<float> scales(groups);
  for (std::size_t r = row; r < row + rows; ++r, ++y) {
    for (std::size_t g = 0; g < groups; ++g) scales[g] = load_group(in, r, g).scale;
    variant.dot_e4m3(bytes_of(in, kCodes) + r * in.cols, in.codec->group_size, {scales.data(), nullptr}, x, y,
                     y_stride);
  }
}

constexpr RowFunctions kRows = {fit_row, round_row, values_row, store_codes, store_groups, decode, dot};

}  // namespace

void append_fp8_block(std::vector<Codec>& table) {
  table.push_back({.name = "fp8_block",
                   .family = Family::fp8,
                   .code_bits = 8,
                   .group_size = kSide,
                   .tensor_scaled = true,
                   .activations = ActivationRounding::Kind::e4m3_groups,
                   .fit = fit,
                   .round = round,
                   .value = value,
                   .layout = layout,
                   .pack = pack,
                   .unpack = unpack,
                   .rows = &kRows});
}

}  // namespace strata::codec
