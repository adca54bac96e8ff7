// E4M3 codes with a scale in f32 for every 128 weights of a row: what the blocks of 128 x 128 of published FP8 models
// are once each row has the scales of its blocks. It is only read, so it is not in the table of codecs that a plan
// chooses from. Formula: docs/formats/quantized-sources.md.
#include "codec/fp8_rows.h"

namespace strata::codec {
namespace {

std::vector<PartSpec> layout(const Codec& codec, std::uint64_t rows, std::uint64_t cols) {
  return {{"weight", DType::e4m3, {rows, cols}}, {"weight_scale", DType::f32, {rows, codec.groups_per_row(cols)}}};
}

GroupParams load_group(const Stored& in, std::size_t row, std::size_t group) {
  return {.scale = load_f32(bytes_of(in, fp8::kScales), row * in.codec->groups_per_row(in.cols) + group)};
}

using Read = fp8::InGroups<load_group>;
constexpr RowFunctions kRows = {.decode = Read::decode, .dot = Read::dot};

}  // namespace

const Codec& fp8_groups() {
  static const Codec codec = {.name = "fp8 in groups of 128",
                              .family = Family::fp8,
                              .code_bits = 8,
                              .group_size = 128,
                              .value = fp8::value,
                              .layout = layout,
                              .unpack = Read::unpack,
                              .rows = &kRows};
  return codec;
}

}  // namespace strata::codec
