// fp8_channel: E4M3 codes with a bf16 scale a row (float-quantized).
// Byte layout and formulas: docs/formats/fp8.md.
#include <algorithm>
#include <bit>

#include "codec/fp8_rows.h"

namespace strata::codec {
namespace {

using fp8::kCodes, fp8::kScales;

GroupParams minmax(Range range) { return {.scale = storable_scale(range.magnitude() / kMostE4m3)}; }

/// The error of E4M3 nearly repeats when the scale doubles, so that one octave is searched: two times fifteen scales
/// across it, then the fifteen neighbours of the best in bf16.
GroupParams fit_group(const Variant& variant, const float* weights, const float* importance, std::size_t count,
                      Range range, ScaleFit fit) {
  GroupParams best = minmax(range);
  if (fit == ScaleFit::minmax || !(range.low < range.high)) return best;
  constexpr std::size_t kCandidates = 16, kIncumbent = 15;
  const auto try_all = [&](auto candidate) {
    float scales[kCandidates];
    for (std::size_t k = 0; k < kIncumbent; ++k) scales[k] = candidate(k);
    scales[kIncumbent] = best.scale;
    best.scale = scales[variant.best_e4m3(weights, importance, count, scales, 1.0f, kIncumbent)];
  };
  const float first = best.scale;
  for (const float offset : {0.0f, 0.5f})
    try_all([&](std::size_t k) { return round_bf16(first * (0.95f + (static_cast<float>(k) + offset) / kIncumbent)); });
  const std::uint32_t around = std::bit_cast<std::uint32_t>(best.scale) >> 16;
  try_all([&](std::size_t k) { return to_float(bf16{static_cast<std::uint16_t>(around + k - 7)}); });
  return best;
}

GroupParams fit(const Codec&, std::span<const float> weights, std::span<const float> importance, ScaleFit fit, float) {
  const Importance h(importance, weights.size(), fit);
  return fit_group(kVariantPortable, weights.data(), h.data(), weights.size(), range_of(weights), fit);
}

std::vector<PartSpec> layout(const Codec&, std::uint64_t rows, std::uint64_t cols) {
  return {{"weight", DType::e4m3, {rows, cols}}, {"weight_scale", DType::bf16, {rows, 1}}};
}

void store_groups(const Variant&, Stored& out, std::size_t row, std::size_t count, const GroupParams* groups, float) {
  for (std::size_t r = 0; r < count; ++r) store_bf16(bytes_of(out, kScales), row + r, groups[r].scale);
}

GroupParams load_group(const Stored& in, std::size_t row) { return {.scale = load_bf16(bytes_of(in, kScales), row)}; }

void unpack(const Codec& codec, const Stored& in, std::size_t row, std::size_t col, std::size_t count, float* out) {
  const unsigned char* const codes = bytes_of(in, kCodes) + row * in.cols + col;
  for (std::size_t i = 0; i < count; ++i) out[i] = fp8::value(codec, codes[i], load_group(in, row));
}

void fit_row(const Variant& variant, const Codec& codec, const float* weights, const float* importance,
             std::size_t cols, ScaleFit fit, float, GroupParams* groups) {
  each_range(variant, weights, row_shape(codec, cols),
             [&](std::size_t group, Range range, std::size_t at, std::size_t count) {
               groups[group] = fit_group(variant, weights + at, importance_from(importance, at), count, range, fit);
             });
}

void decode(const Variant& variant, const Stored& in, std::size_t row, std::size_t col, std::size_t count, float* out) {
  const GroupParams group = load_group(in, row);
  variant.values_e4m3(bytes_of(in, kCodes) + row * in.cols + col, {count, count}, &group, out);
}

void dot(const Variant& variant, const Stored& in, std::size_t row, std::size_t rows, FewRows x, float* y,
         std::size_t y_stride) {
  for (std::size_t r = row; r < row + rows; ++r, ++y) {
    const float scale = load_group(in, r).scale;
    variant.dot_e4m3(bytes_of(in, kCodes) + r * in.cols, in.cols, {&scale, nullptr}, x, y, y_stride);
  }
}

constexpr RowFunctions kRows = {fit_row, fp8::round_row, fp8::values_row, fp8::store_codes, store_groups, decode, dot};

}  // namespace

void append_fp8(std::vector<Codec>& table) {
  const Codec codec{.name = "fp8_channel",
                    .family = Family::fp8,
                    .code_bits = 8,
                    .fit = fit,
                    .round = fp8::round,
                    .value = fp8::value,
                    .layout = layout,
                    .pack = fp8::pack<store_groups>,
                    .unpack = unpack,
                    .rows = &kRows};
  table.push_back(codec);
  table.push_back(with_activations(codec, "fp8_static", ActivationRounding::Kind::e4m3_tensor));
}

}  // namespace strata::codec
