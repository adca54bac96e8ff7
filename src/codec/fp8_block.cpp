// fp8_block: E4M3 codes with a bf16 scale for every 128 x 128 weights (float-quantized, strategy block).
// Byte layout and formulas: docs/formats/fp8.md.
#include <algorithm>

#include "codec/fp8_rows.h"
#include "core/checked.h"

namespace strata::codec {
namespace {

using fp8::kScales;

constexpr std::size_t kSide = 128;  // of a block

/// All blocks have the scale of the tensor, a power of two: the precision of E4M3 is the same over 14 octaves.
GroupParams fit(const Codec&, std::span<const float>, std::span<const float>, ScaleFit, float tensor_scale) {
  return {.scale = tensor_scale};
}

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

GroupParams load_group(const Stored& in, std::size_t row, std::size_t group) {
  return {.scale = load_bf16(bytes_of(in, kScales), row / kSide * in.codec->groups_per_row(in.cols) + group)};
}

void fit_row(const Variant&, const Codec& codec, const float*, const float*, std::size_t cols, ScaleFit,
             float tensor_scale, GroupParams* groups) {
  std::fill_n(groups, codec.groups_per_row(cols), GroupParams{.scale = tensor_scale});
}

using Read = fp8::InGroups<load_group>;
constexpr RowFunctions kRows = {fit_row,      fp8::round_row, fp8::values_row, fp8::store_codes,
                                store_groups, Read::decode,   Read::dot};

}  // namespace

void append_fp8_block(std::vector<Codec>& table) {
  table.push_back({.name = "fp8_block",
                   .family = Family::fp8,
                   .code_bits = 8,
                   .group_size = kSide,
                   .tensor_scaled = true,
                   .activations = ActivationRounding::Kind::e4m3_groups,
                   .fit = fit,
                   .round = fp8::round,
                   .value = fp8::value,
                   .layout = layout,
                   .pack = fp8::pack<store_groups>,
                   .unpack = Read::unpack,
                   .rows = &kRows});
}

}  // namespace strata::codec
