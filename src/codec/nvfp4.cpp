// nvfp4: E2M1 codes, an E4M3 scale a group of 16, and an f32 divisor a tensor (nvfp4-pack-quantized); mlx_nvfp4 is
// without the divisor, nvfp4_gguf has its inverse. Byte layout and formulas: docs/formats/nvfp4.md, mlx.md, gguf.md.
#include <algorithm>
#include <array>
#include <limits>

#include "codec/family.h"
#include "codec/ggml/storage.h"
#include "core/numbers.h"

namespace strata::codec {
namespace {

enum Part : std::size_t { kCodes, kScales, kTensorScale };
constexpr std::uint8_t kZeroScaleCode = 0x20;  // 0.125, stored where the rounded scale is zero

// E4M3 values by code, with room on both sides, so that the candidates of the search are sixteen neighbours. Codes that
// are no scale (0, and those past 448) are NaN there, which the search passes over.
constexpr std::size_t kCandidates = 16, kBelow = 7;
struct ScaleValues {
  std::array<float, 256> of_code;
  std::array<float, kBelow + 128 + kCandidates> candidates;
};
const ScaleValues& scale_values() {
  static const ScaleValues values = [] {
    ScaleValues v;
    v.candidates.fill(std::numeric_limits<float>::quiet_NaN());
    for (std::size_t code = 0; code < 256; ++code) v.of_code[code] = e4m3_to_float(static_cast<std::uint8_t>(code));
    for (std::size_t code = 1; code < 0x7F; ++code) v.candidates[kBelow + code] = v.of_code[code];
    return v;
  }();
  return values;
}

/// E4M3 codes of values, by a variant's kernel.
void round_scales(const Variant& variant, const float* values, std::size_t count, std::uint8_t* codes) {
  const GroupParams unit;
  variant.round_e4m3(values, {count, count}, &unit, codes);
}

float wanted_scale(Range range, float tensor_scale) { return tensor_scale * (range.magnitude() / kMostE2m1); }

/// The min-max code's scale, or the best of the scales from kBelow codes under it to eight codes above it: factors of
/// about 1/2 to 2.
GroupParams fit_from(const Variant& variant, std::uint8_t code, const float* weights, const float* importance,
                     std::size_t count, Range range, ScaleFit fit, float tensor_scale) {
  const ScaleValues& values = scale_values();
  std::size_t chosen = code == 0 ? kZeroScaleCode : code;
  if (fit == ScaleFit::search && range.low < range.high)
    chosen = chosen - kBelow +
             variant.best_e2m1(weights, importance, count, values.candidates.data() + chosen, tensor_scale, kBelow);
  return {.scale = values.of_code[chosen] / tensor_scale};
}

GroupParams fit(const Codec&, std::span<const float> weights, std::span<const float> importance, ScaleFit fit,
                float tensor_scale) {
  const Importance h(importance, weights.size(), fit);
  const Range range = range_of(weights);
  return fit_from(kVariantPortable, float_to_e4m3(wanted_scale(range, tensor_scale)), weights.data(), h.data(),
                  weights.size(), range, fit, tensor_scale);
}

std::uint8_t round(const Codec&, float weight, const GroupParams& group) { return float_to_e2m1(weight / group.scale); }

float value(const Codec&, std::uint8_t code, const GroupParams& group) { return e2m1_to_float(code) * group.scale; }

std::vector<PartSpec> layout(const Codec& codec, std::uint64_t rows, std::uint64_t cols) {
  return {{"weight_packed", DType::u8, {rows, cols / 2 + cols % 2}},
          {"weight_scale", DType::e4m3, {rows, codec.groups_per_row(cols)}},
          {"weight_global_scale", DType::f32, {1}}};
}

/// Without a tensor scale, the codes as words.
std::vector<PartSpec> mlx_layout(const Codec& codec, std::uint64_t rows, std::uint64_t cols) {
  return {{"weight", DType::u32, {rows, cols / 8}}, {"scales", DType::u8, {rows, codec.groups_per_row(cols)}}};
}

/// 1 for the codec that has none.
float tensor_scale_of(const Stored& in) {
  return in.codec->tensor_scaled ? load_f32(bytes_of(in, kTensorScale), 0) : 1.0f;
}

std::size_t row_bytes(const Stored& stored) { return stored.cols / 2 + stored.cols % 2; }

/// A group's scale times the tensor scale is within 2^-23 of the E4M3 value that it was made from.
void store_groups(const Variant& variant, Stored& out, std::size_t row, std::size_t count, const GroupParams* groups,
                  float tensor_scale) {
  const std::size_t per_row = out.codec->groups_per_row(out.cols), total = count * per_row;
  unsigned char* const codes = bytes_of(out, kScales) + row * per_row;
  float values[kChunkGroups];
  for (std::size_t i = 0; i < total; i += kChunkGroups) {
    const std::size_t chunk = std::min(kChunkGroups, total - i);
    for (std::size_t k = 0; k < chunk; ++k) values[k] = groups[i + k].scale * tensor_scale;
    round_scales(variant, values, chunk, codes + i);
  }
  if (row == 0 && out.codec->tensor_scaled) store_f32(bytes_of(out, kTensorScale), 0, tensor_scale);
}

void pack(const Codec&, Stored& out, std::size_t row, std::size_t count, const std::uint8_t* codes,
          const GroupParams* groups, float tensor_scale) {
  for (std::size_t i = 0; i < count * out.cols; ++i)
    store_code(bytes_of(out, kCodes) + (row + i / out.cols) * row_bytes(out), i % out.cols, 4, codes[i]);
  store_groups(kVariantPortable, out, row, count, groups, tensor_scale);
}

GroupParams load_group(const Stored& in, std::size_t row, std::size_t group, float tensor_scale) {
  const std::uint8_t code = bytes_of(in, kScales)[row * in.codec->groups_per_row(in.cols) + group];
  return {.scale = scale_values().of_code[code] / tensor_scale};
}

void unpack(const Codec& codec, const Stored& in, std::size_t row, std::size_t col, std::size_t count, float* out) {
  const unsigned char* const stream = bytes_of(in, kCodes) + row * row_bytes(in);
  const float tensor_scale = tensor_scale_of(in);
  for (std::size_t i = 0; i < count; ++i)
    out[i] = value(codec, static_cast<std::uint8_t>(load_code(stream, col + i, 4)),
                   load_group(in, row, group_of(codec, col + i), tensor_scale));
}

void fit_row(const Variant& variant, const Codec& codec, const float* weights, const float* importance,
             std::size_t cols, ScaleFit fit, float tensor_scale, GroupParams* groups) {
  const RowShape shape = row_shape(codec, cols);
  for_each_chunk(variant, weights, shape, [&](std::size_t first, std::span<const Range> ranges) {
    float wanted[kChunkGroups];
    std::uint8_t codes[kChunkGroups];
    for (std::size_t k = 0; k < ranges.size(); ++k) wanted[k] = wanted_scale(ranges[k], tensor_scale);
    round_scales(variant, wanted, ranges.size(), codes);
    for (std::size_t k = 0; k < ranges.size(); ++k) {
      const std::size_t at = (first + k) * shape.group_size;
      groups[first + k] = fit_from(variant, codes[k], weights + at, importance_from(importance, at),
                                   std::min(shape.group_size, cols - at), ranges[k], fit, tensor_scale);
    }
  });
}

void round_row(const Variant& variant, const Codec& codec, const float* weights, const float*, std::size_t cols,
               const GroupParams* groups, std::uint8_t* codes) {
  variant.round_e2m1(weights, row_shape(codec, cols), groups, codes);
}

void values_row(const Variant& variant, const Codec& codec, const std::uint8_t* codes, std::size_t cols,
                const GroupParams* groups, float* out) {
  variant.values_e2m1(codes, row_shape(codec, cols), groups, out);
}

void store_codes(const Variant& variant, Stored& out, std::size_t row, const std::uint8_t* codes) {
  variant.pack_bits(codes, out.cols, 4, bytes_of(out, kCodes) + row * row_bytes(out));
}

void decode(const Variant& variant, const Stored& in, std::size_t row, std::size_t col, std::size_t count, float* out) {
  const unsigned char* const stream = bytes_of(in, kCodes) + row * row_bytes(in);
  const float tensor_scale = tensor_scale_of(in);
  const auto load = [&](std::size_t group) { return load_group(in, row, group, tensor_scale); };
  each_piece(*in.codec, col, count, load,
             [&](std::size_t from, std::size_t to, RowShape shape, const GroupParams* groups) {
               std::uint8_t codes[kPiece];
               variant.unpack_bits(stream + from / 2, shape.count, 4, codes);
               variant.values_e2m1(codes, shape, groups, out + to);
             });
}

/// The scales of all codes for a tensor scale. A thread keeps those that it used last: the rows of a tensor come
/// together.
const float* scales_over(float tensor_scale) {
  thread_local std::array<float, 256> scales;
  thread_local float made_for = std::numeric_limits<float>::quiet_NaN();
  if (made_for != tensor_scale) {
    for (std::size_t code = 0; code < 256; ++code) scales[code] = scale_values().of_code[code] / tensor_scale;
    made_for = tensor_scale;
  }
  return scales.data();
}

void dot(const Variant& variant, const Stored& in, std::size_t row, std::size_t rows, FewRows x, float* y,
         std::size_t y_stride) {
  const std::size_t groups = in.codec->groups_per_row(in.cols);
  const float tensor_scale = tensor_scale_of(in);
  const float* const scales = scales_over(tensor_scale);
  for (std::size_t r = row; r < row + rows; ++r, ++y)
    variant.dot_e2m1(bytes_of(in, kCodes) + r * row_bytes(in), in.codec->group_size,
                     {scales, bytes_of(in, kScales) + r * groups}, x, y, y_stride);
}

/// nvfp4's codes and scales as a type of GGUF: a block of 64 is the bytes of four scales and 32 bytes of nibbles. What
/// all weights of a tensor are multiplied by, a power of two, lies in a tensor of its own.
struct GgufNvfp4 : GgmlStorage<GgufNvfp4> {
  using Storage = GgmlStorage<GgufNvfp4>;
  static void store_block_codes(const std::uint8_t* codes, unsigned char* block) {
    for (std::size_t i = 0; i < 32; ++i) {
      const std::uint8_t* const low = codes + i / 8 * 16 + i % 8;
      block[4 + i] = static_cast<unsigned char>((low[0] & 15u) | (low[8] & 15u) << 4);
    }
  }
  static void store_block_scales(const GroupParams* groups, unsigned char* block) {
    for (std::size_t g = 0; g < 4; ++g) block[g] = float_to_e4m3(groups[g].scale);
  }
  static constexpr GgmlLayout kLayout = {.name = "nvfp4_gguf",
                                         .code_bits = 4,
                                         .group_size = 16,
                                         .block_weights = kNvfp4Block,
                                         .block_bytes = 36,
                                         .type = BlockType::nvfp4,
                                         .store_codes = store_block_codes,
                                         .store_groups = store_block_scales};

  static std::vector<PartSpec> layout(const Codec& codec, std::uint64_t rows, std::uint64_t cols) {
    std::vector<PartSpec> parts = Storage::layout(codec, rows, cols);
    parts.push_back({"scale", DType::f32, {1}});
    return parts;
  }
  static float factor_of(const Stored& in) { return load_f32(bytes_of(in, 1), 0); }

  static void store_groups(const Variant& variant, Stored& out, std::size_t row, std::size_t count,
                           const GroupParams* groups, float tensor_scale) {
    std::vector<GroupParams> wide(groups, groups + count * out.codec->groups_per_row(out.cols));
    for (GroupParams& group : wide) group.scale *= tensor_scale;
    Storage::store_groups(variant, out, row, count, wide.data(), tensor_scale);
    if (row == 0) store_f32(bytes_of(out, 1), 0, 1.0f / tensor_scale);
  }
  static void pack(const Codec&, Stored& out, std::size_t row, std::size_t count, const std::uint8_t* codes,
                   const GroupParams* groups, float tensor_scale) {
    for (std::size_t r = 0; r < count; ++r) store_codes(kVariantPortable, out, row + r, codes + r * out.cols);
    store_groups(kVariantPortable, out, row, count, groups, tensor_scale);
  }

  /// ggml has no negative zero.
  static float value(const Codec& codec, std::uint8_t code, const GroupParams& group) {
    return codec::value(codec, code, group) + 0.0f;
  }
  static void values_row(const Variant&, const Codec& codec, const std::uint8_t* codes, std::size_t cols,
                         const GroupParams* groups, float* out) {
    for (std::size_t c = 0; c < cols; ++c) out[c] = value(codec, codes[c], groups[c / kLayout.group_size]);
  }

  static void decode(const Variant& variant, const Stored& in, std::size_t row, std::size_t col, std::size_t count,
                     float* out) {
    Storage::decode(variant, in, row, col, count, out);
    const float factor = factor_of(in);
    for (std::size_t i = 0; i < count; ++i) out[i] *= factor;
  }
  static void unpack(const Codec&, const Stored& in, std::size_t row, std::size_t col, std::size_t count, float* out) {
    decode(kVariantPortable, in, row, col, count, out);
  }
  static void dot(const Variant& variant, const Stored& in, std::size_t row, std::size_t rows, FewRows x, float* y,
                  std::size_t y_stride) {
    Storage::dot(variant, in, row, rows, x, y, y_stride);
    const float factor = factor_of(in);
    for (std::size_t t = 0; t < x.tokens; ++t)
      for (std::size_t r = 0; r < rows; ++r) y[t * y_stride + r] *= factor;
  }
};
constexpr RowFunctions kGgufRows = {
    fit_row,           round_row,     GgufNvfp4::values_row, GgufNvfp4::store_codes, GgufNvfp4::store_groups,
    GgufNvfp4::decode, GgufNvfp4::dot};

constexpr RowFunctions kRows = {fit_row, round_row, values_row, store_codes, store_groups, decode, dot};

Codec make(const char* name) {
  return {.name = name,
          .family = Family::nvfp4,
          .code_bits = 4,
          .group_size = 16,
          .tensor_scaled = true,
          .fit = fit,
          .round = round,
          .value = value,
          .layout = layout,
          .pack = pack,
          .unpack = unpack,
          .rows = &kRows};
}

}  // namespace

void append_nvfp4(std::vector<Codec>& table) {
  table.push_back(make("nvfp4"));
  table.push_back(with_activations(make("nvfp4"), "nvfp4_a4", ActivationRounding::Kind::nvfp4));
}

void append_ggml_nvfp4(std::vector<Codec>& table) {
  using Type = GgufNvfp4;
  Codec codec = Type::codec();
  codec.tensor_scaled = true;
  codec.fit = fit;
  codec.round = round;
  codec.value = Type::value;
  codec.layout = Type::layout;
  codec.pack = Type::pack;
  codec.unpack = Type::unpack;
  codec.rows = &kGgufRows;
  table.push_back(codec);
}

void append_mlx_nvfp4(std::vector<Codec>& table) {
  Codec codec = make("mlx_nvfp4");
  codec.container = Container::mlx;
  codec.tensor_scaled = false;
  codec.layout = mlx_layout;
  table.push_back(codec);
}

}  // namespace strata::codec
