// mxfp4 and mxfp8: E2M1 or E4M3 codes with an E8M0 scale a group of 32 (mxfp4-pack-quantized, mxfp8-quantized), and
// mxfp4_gguf, and both as MLX holds them. Byte layout and formulas: docs/formats/mxfp.md, gguf.md, mlx.md.
#include <algorithm>
#include <array>
#include <bit>

#include "codec/family.h"
#include "codec/ggml/storage.h"
#include "core/numbers.h"

namespace strata::codec {
namespace {

enum Part : std::size_t { kCodes, kScales };

bool is_fp4(const Codec& codec) { return codec.code_bits == 4; }

/// floor(log2) of the largest E2M1 (6) and E4M3 (448) value.
int largest_exponent(const Codec& codec) { return is_fp4(codec) ? 2 : 8; }

/// A magnitude of 1.75 * 2^k or more counts as 2^(k + 1), so that it is not clipped by more than 1/7 in E2M1.
int minmax_exponent(const Codec& codec, float magnitude) {
  const std::uint32_t raised = std::bit_cast<std::uint32_t>(magnitude) + (1u << 21);
  return std::clamp(static_cast<int>(raised >> 23) - largest_exponent(codec), 0, 254);
}

/// The E8M0 code of a scale 2^(code - 127); 2^-127 is the only one that is subnormal in f32.
std::uint8_t scale_code(float scale) { return static_cast<std::uint8_t>(std::bit_cast<std::uint32_t>(scale) >> 23); }

/// The search tries half and twice the min-max scale.
GroupParams fit_group(const Variant& variant, const Codec& codec, const float* weights, const float* importance,
                      std::size_t count, Range range, ScaleFit fit) {
  const int exponent = minmax_exponent(codec, range.magnitude());
  const auto scale_of = [](int code) { return e8m0_to_float(static_cast<std::uint8_t>(std::clamp(code, 0, 254))); };
  if (fit == ScaleFit::minmax || !(range.low < range.high)) return {.scale = scale_of(exponent)};
  float scales[16];
  std::ranges::fill(scales, scale_of(exponent));
  scales[1] = scale_of(exponent - 1);
  scales[2] = scale_of(exponent + 1);
  const auto best = is_fp4(codec) ? variant.best_e2m1 : variant.best_e4m3;
  return {.scale = scales[best(weights, importance, count, scales, 1.0f, 0)]};
}

GroupParams fit(const Codec& codec, std::span<const float> weights, std::span<const float> importance, ScaleFit fit,
                float) {
  const Importance h(importance, weights.size(), fit);
  return fit_group(kVariantPortable, codec, weights.data(), h.data(), weights.size(), range_of(weights), fit);
}

std::uint8_t round(const Codec& codec, float weight, const GroupParams& group) {
  const float scaled = weight / group.scale;
  return is_fp4(codec) ? float_to_e2m1(scaled) : float_to_e4m3(scaled);
}

float value(const Codec& codec, std::uint8_t code, const GroupParams& group) {
  return (is_fp4(codec) ? e2m1_to_float(code) : e4m3_to_float(code)) * group.scale;
}

std::vector<PartSpec> layout(const Codec& codec, std::uint64_t rows, std::uint64_t cols) {
  PartSpec codes = is_fp4(codec) ? PartSpec{"weight_packed", DType::u8, {rows, cols / 2 + cols % 2}}
                                 : PartSpec{"weight", DType::e4m3, {rows, cols}};
  return {std::move(codes), {"weight_scale", DType::u8, {rows, codec.groups_per_row(cols)}}};
}

/// The same bytes as words.
std::vector<PartSpec> mlx_layout(const Codec& codec, std::uint64_t rows, std::uint64_t cols) {
  return {{"weight", DType::u32, {rows, cols / (32 / codec.code_bits)}},
          {"scales", DType::u8, {rows, codec.groups_per_row(cols)}}};
}

std::size_t row_bytes(const Stored& stored) {
  return is_fp4(*stored.codec) ? stored.cols / 2 + stored.cols % 2 : stored.cols;
}

void store_groups(const Variant&, Stored& out, std::size_t row, std::size_t count, const GroupParams* groups, float) {
  const std::size_t per_row = out.codec->groups_per_row(out.cols);
  unsigned char* const codes = bytes_of(out, kScales) + row * per_row;
  for (std::size_t i = 0; i < count * per_row; ++i) codes[i] = scale_code(groups[i].scale);
}

void pack(const Codec& codec, Stored& out, std::size_t row, std::size_t count, const std::uint8_t* codes,
          const GroupParams* groups, float tensor_scale) {
  for (std::size_t i = 0; i < count * out.cols; ++i)
    store_code(bytes_of(out, kCodes) + (row + i / out.cols) * row_bytes(out), i % out.cols, codec.code_bits, codes[i]);
  store_groups(kVariantPortable, out, row, count, groups, tensor_scale);
}

GroupParams load_group(const Stored& in, std::size_t row, std::size_t group) {
  return {.scale = e8m0_to_float(bytes_of(in, kScales)[row * in.codec->groups_per_row(in.cols) + group])};
}

void unpack(const Codec& codec, const Stored& in, std::size_t row, std::size_t col, std::size_t count, float* out) {
  const unsigned char* const stream = bytes_of(in, kCodes) + row * row_bytes(in);
  for (std::size_t i = 0; i < count; ++i)
    out[i] = value(codec, static_cast<std::uint8_t>(load_code(stream, col + i, codec.code_bits)),
                   load_group(in, row, group_of(codec, col + i)));
}

void fit_row(const Variant& variant, const Codec& codec, const float* weights, const float* importance,
             std::size_t cols, ScaleFit fit, float, GroupParams* groups) {
  each_range(
      variant, weights, row_shape(codec, cols), [&](std::size_t group, Range range, std::size_t at, std::size_t count) {
        groups[group] = fit_group(variant, codec, weights + at, importance_from(importance, at), count, range, fit);
      });
}

void round_row(const Variant& variant, const Codec& codec, const float* weights, const float*, std::size_t cols,
               const GroupParams* groups, std::uint8_t* codes) {
  (is_fp4(codec) ? variant.round_e2m1 : variant.round_e4m3)(weights, row_shape(codec, cols), groups, codes);
}

void values_row(const Variant& variant, const Codec& codec, const std::uint8_t* codes, std::size_t cols,
                const GroupParams* groups, float* out) {
  (is_fp4(codec) ? variant.values_e2m1 : variant.values_e4m3)(codes, row_shape(codec, cols), groups, out);
}

void store_codes(const Variant& variant, Stored& out, std::size_t row, const std::uint8_t* codes) {
  variant.pack_bits(codes, out.cols, out.codec->code_bits, bytes_of(out, kCodes) + row * row_bytes(out));
}

void decode(const Variant& variant, const Stored& in, std::size_t row, std::size_t col, std::size_t count, float* out) {
  const Codec& codec = *in.codec;
  const unsigned char* const stream = bytes_of(in, kCodes) + row * row_bytes(in);
  const auto load = [&](std::size_t group) { return load_group(in, row, group); };
  each_piece(codec, col, count, load, [&](std::size_t from, std::size_t to, RowShape shape, const GroupParams* groups) {
    std::uint8_t codes[kPiece];
    variant.unpack_bits(stream + from / 8 * codec.code_bits, shape.count, codec.code_bits, codes);
    (is_fp4(codec) ? variant.values_e2m1 : variant.values_e4m3)(codes, shape, groups, out + to);
  });
}

/// The scales of all codes.
const float* all_scales() {
  static const std::array<float, 256> scales = [] {
    std::array<float, 256> values{};
    for (std::size_t code = 0; code < 256; ++code) values[code] = e8m0_to_float(static_cast<std::uint8_t>(code));
    return values;
  }();
  return scales.data();
}

void dot(const Variant& variant, const Stored& in, std::size_t row, std::size_t rows, FewRows x, float* y,
         std::size_t y_stride) {
  const std::size_t groups = in.codec->groups_per_row(in.cols);
  const auto dot_row = is_fp4(*in.codec) ? variant.dot_e2m1 : variant.dot_e4m3;
  for (std::size_t r = row; r < row + rows; ++r, ++y)
    dot_row(bytes_of(in, kCodes) + r * row_bytes(in), in.codec->group_size,
            {all_scales(), bytes_of(in, kScales) + r * groups}, x, y, y_stride);
}

/// mxfp4's codes and scales as a type of GGUF: a block of 32 is the byte of its scale and 16 bytes of nibbles.
struct GgufMxfp4 : GgmlStorage<GgufMxfp4> {
  static void store_block_codes(const std::uint8_t* codes, unsigned char* block) {
    for (std::size_t i = 0; i < 16; ++i)
      block[1 + i] = static_cast<unsigned char>((codes[i] & 15u) | (codes[i + 16] & 15u) << 4);
  }
  static void store_block_scale(const GroupParams* group, unsigned char* block) { *block = scale_code(group->scale); }
  static constexpr GgmlLayout kLayout = {.name = "mxfp4_gguf",
                                         .code_bits = 4,
                                         .block_bytes = 17,
                                         .type = BlockType::mxfp4,
                                         .store_codes = store_block_codes,
                                         .store_groups = store_block_scale};

  /// ggml has no negative zero.
  static float value(const Codec& codec, std::uint8_t code, const GroupParams& group) {
    return codec::value(codec, code, group) + 0.0f;
  }
  static void values_row(const Variant&, const Codec& codec, const std::uint8_t* codes, std::size_t cols,
                         const GroupParams* groups, float* out) {
    for (std::size_t c = 0; c < cols; ++c) out[c] = value(codec, codes[c], groups[c / kLayout.group_size]);
  }
};
constexpr RowFunctions kGgufRows = {
    fit_row,           round_row,     GgufMxfp4::values_row, GgufMxfp4::store_codes, GgufMxfp4::store_groups,
    GgufMxfp4::decode, GgufMxfp4::dot};

constexpr RowFunctions kRows = {fit_row, round_row, values_row, store_codes, store_groups, decode, dot};

Codec make(const char* name, Family family, unsigned bits) {
  return {.name = name,
          .family = family,
          .code_bits = bits,
          .group_size = 32,
          .fit = fit,
          .round = round,
          .value = value,
          .layout = layout,
          .pack = pack,
          .unpack = unpack,
          .rows = &kRows};
}

}  // namespace

void append_mxfp(std::vector<Codec>& table) {
  const Codec mxfp4 = make("mxfp4", Family::mxfp4, 4), mxfp8 = make("mxfp8", Family::mxfp8, 8);
  table.insert(table.end(), {mxfp4, with_activations(mxfp4, "mxfp4_a4", ActivationRounding::Kind::mxfp4), mxfp8,
                             with_activations(mxfp8, "mxfp8_a8", ActivationRounding::Kind::mxfp8)});
}

void append_mlx_mxfp(std::vector<Codec>& table) {
  for (Codec codec : {make("mlx_mxfp4", Family::mxfp4, 4), make("mlx_mxfp8", Family::mxfp8, 8)}) {
    codec.container = Container::mlx;
    codec.layout = mlx_layout;
    table.push_back(codec);
  }
}

void append_ggml_mxfp4(std::vector<Codec>& table) {
  using Type = GgufMxfp4;
  Codec codec = Type::codec();
  codec.fit = fit;
  codec.round = round;
  codec.value = Type::value;
  codec.rows = &kGgufRows;
  table.push_back(codec);
}

}  // namespace strata::codec
