// E4M3 codes with a scale in f32 for every 128 weights of a row: what the blocks of 128 x 128 of published FP8 models
// are once each row has the scales of its blocks. It is only read, so it is not in the table of codecs that a plan
// chooses from. Formula: docs/formats/quantized-sources.md.
#include "codec/family.h"
#include "core/numbers.h"

namespace strata::codec {
namespace {

enum Part : std::size_t { kCodes, kScales };

float value(const Codec&, std::uint8_t code, const GroupParams& group) { return e4m3_to_float(code) * group.scale; }

std::vector<PartSpec> layout(const Codec& codec, std::uint64_t rows, std::uint64_t cols) {
  return {{"weight", DType::e4m3, {rows, cols}}, {"weight_scale", DType::f32, {rows, codec.groups_per_row(cols)}}};
}

GroupParams load_group(const Stored& in, std::size_t row, std::size_t group) {
  return {.scale = load_f32(bytes_of(in, kScales), row * in.codec->groups_per_row(in.cols) + group)};
}

void unpack(const Codec& codec, const Stored& in, std::size_t row, std::size_t col, std::size_t count, float* out) {
  const unsigned char* const codes = bytes_of(in, kCodes) + row * in.cols + col;
  for (std::size_t i = 0; i < count; ++i)
    out[i] = value(codec, codes[i], load_group(in, row, group_of(codec, col + i)));
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

constexpr RowFunctions kRows = {.decode = decode, .dot = dot};

}  // namespace

const Codec& fp8_groups() {
  static const Codec codec = {.name = "fp8 in groups of 128",
                              .family = Family::fp8,
                              .code_bits = 8,
                              .group_size = 128,
                              .value = value,
                              .layout = layout,
                              .unpack = unpack,
                              .rows = &kRows};
  return codec;
}

}  // namespace strata::codec
