// Integers of 2 to 8 bits with a bf16 scale a group or row, packed (pack-quantized) or one a byte (int-quantized).
// Byte layout and formulas: docs/formats/int.md.
#include <algorithm>
#include <cmath>

#include "codec/family.h"
#include "core/error.h"
#include "core/numbers.h"

namespace strata::codec {
namespace {

enum Part : std::size_t { kCodes, kScales, kShape, kZeroPoints };

float half_range(unsigned bits) { return static_cast<float>(1u << (bits - 1)); }
float largest_code(unsigned bits) { return static_cast<float>((1u << bits) - 1); }

GroupParams minmax(const Codec& codec, Range range) {
  GroupParams group;
  if (codec.symmetric) {
    group.scale = storable_scale(range.magnitude() / (largest_code(codec.code_bits) / 2));
    return group;
  }
  const float half = half_range(codec.code_bits);
  group.scale = storable_scale((range.high - range.low) / largest_code(codec.code_bits));
  group.zero_point = std::nearbyint(std::clamp(-half - range.low / group.scale, -half, half - 1));
  return group;
}

/// -2^(bits - 1) has no positive twin, so that a negative scale can serve a group whose largest weight is positive
/// better. At 8 bits the difference is below 1 % of the error, and int8 consumers that fold the scale elsewhere are
/// spared it.
ScaleSigns signs_of(const Codec& codec) { return codec.code_bits < 8 ? ScaleSigns::both : ScaleSigns::positive; }

GroupParams fit_group(const Variant& variant, const Codec& codec, const float* weights, const float* importance,
                      std::size_t count, Range range, ScaleFit fit) {
  const GroupParams plain = minmax(codec, range);
  if (fit == ScaleFit::minmax || !(range.low < range.high)) return plain;
  if (codec.symmetric) return variant.search_int(weights, importance, count, codec.code_bits, signs_of(codec), plain);
  return variant.search_int_asymmetric(weights, importance, count, codec.code_bits, range.low, range.high, plain);
}

GroupParams fit(const Codec& codec, std::span<const float> weights, std::span<const float> importance, ScaleFit fit,
                float) {
  const Importance h(importance, weights.size(), fit);
  return fit_group(kVariantPortable, codec, weights.data(), h.data(), weights.size(), range_of(weights), fit);
}

std::uint8_t round(const Codec& codec, float weight, const GroupParams& group) {
  const float half = half_range(codec.code_bits);
  float q = weight / group.scale + group.zero_point;
  q = q > -half ? q : -half;  // NaN becomes the smallest code
  q = q < half - 1 ? q : half - 1;
  return static_cast<std::uint8_t>(std::nearbyint(q) + half);
}

float value(const Codec& codec, std::uint8_t code, const GroupParams& group) {
  return (static_cast<float>(code) - half_range(codec.code_bits) - group.zero_point) * group.scale;
}

/// 32-bit words that hold `count` codes, without overflow for any count.
std::uint64_t words(std::uint64_t count, unsigned bits) { return count / 32 * bits + (count % 32 * bits + 31) / 32; }

std::vector<PartSpec> packed_layout(const Codec& codec, std::uint64_t rows, std::uint64_t cols) {
  const std::uint64_t groups = codec.groups_per_row(cols);
  std::vector<PartSpec> parts = {{"weight_packed", DType::i32, {rows, words(cols, codec.code_bits)}},
                                 {"weight_scale", DType::bf16, {rows, groups}},
                                 {"weight_shape", DType::i64, {2}}};
  if (!codec.symmetric) parts.push_back({"weight_zero_point", DType::i32, {words(rows, codec.code_bits), groups}});
  return parts;
}

std::vector<PartSpec> byte_layout(const Codec& codec, std::uint64_t rows, std::uint64_t cols) {
  return {{"weight", DType::i8, {rows, cols}}, {"weight_scale", DType::bf16, {rows, codec.groups_per_row(cols)}}};
}

bool is_packed(const Codec& codec) { return codec.layout == packed_layout; }

std::size_t row_bytes(const Stored& stored) {
  return is_packed(*stored.codec) ? 4 * words(stored.cols, stored.codec->code_bits) : stored.cols;
}

/// Zero points are packed along the rows: code r of the stream of a group lies in word r * bits / 32 of column `group`.
unsigned char* zero_point_bit(unsigned char* part, std::size_t groups, std::size_t group, std::size_t bit,
                              unsigned& mask) {
  mask = 1u << (bit % 8);
  return part + 4 * ((bit / 32) * groups + group) + bit % 32 / 8;
}

void store_zero_point(Stored& out, std::size_t row, std::size_t group, float zero_point) {
  const Codec& codec = *out.codec;
  const std::size_t groups = codec.groups_per_row(out.cols);
  const auto code = static_cast<unsigned>(zero_point + half_range(codec.code_bits));
  for (unsigned bit = 0; bit < codec.code_bits; ++bit) {
    unsigned mask = 0;
    unsigned char* byte = zero_point_bit(bytes_of(out, kZeroPoints), groups, group, row * codec.code_bits + bit, mask);
    *byte = static_cast<unsigned char>((code >> bit & 1u) != 0 ? *byte | mask : *byte & ~mask);
  }
}

float load_zero_point(const Stored& in, std::size_t row, std::size_t group) {
  const Codec& codec = *in.codec;
  const std::size_t groups = codec.groups_per_row(in.cols), at = row * codec.code_bits;
  const unsigned char* const column = bytes_of(in, kZeroPoints) + 4 * group;
  const auto byte = [&](std::size_t bit) -> unsigned { return column[4 * groups * (bit / 32) + bit % 32 / 8]; };
  const std::size_t last = at + codec.code_bits - 1;  // a code lies in one byte or in two
  const unsigned code = (byte(at) | (last / 8 == at / 8 ? 0u : byte(last) << 8)) >> (at % 8);
  return static_cast<float>(code & ((1u << codec.code_bits) - 1)) - half_range(codec.code_bits);
}

GroupParams load_group(const Stored& in, std::size_t row, std::size_t group) {
  GroupParams params;
  params.scale = load_bf16(bytes_of(in, kScales), row * in.codec->groups_per_row(in.cols) + group);
  if (!in.codec->symmetric) params.zero_point = load_zero_point(in, row, group);
  return params;
}

void store_groups(const Variant&, Stored& out, std::size_t row, std::size_t count, const GroupParams* groups, float) {
  const std::size_t per_row = out.codec->groups_per_row(out.cols);
  for (std::size_t i = 0; i < count * per_row; ++i) {
    store_bf16(bytes_of(out, kScales), row * per_row + i, groups[i].scale);
    if (!out.codec->symmetric) store_zero_point(out, row + i / per_row, i % per_row, groups[i].zero_point);
  }
  if (row == 0 && is_packed(*out.codec)) {
    store_i64(bytes_of(out, kShape), 0, static_cast<std::int64_t>(out.rows));
    store_i64(bytes_of(out, kShape), 1, static_cast<std::int64_t>(out.cols));
  }
}

void pack(const Codec& codec, Stored& out, std::size_t row, std::size_t count, const std::uint8_t* codes,
          const GroupParams* groups, float tensor_scale) {
  for (std::size_t i = 0; i < count * out.cols; ++i) {
    unsigned char* const stream = bytes_of(out, kCodes) + (row + i / out.cols) * row_bytes(out);
    if (is_packed(codec))
      store_code(stream, i % out.cols, codec.code_bits, codes[i]);
    else
      stream[i % out.cols] = codes[i] ^ 0x80u;
  }
  store_groups(kVariantPortable, out, row, count, groups, tensor_scale);
}

void unpack(const Codec& codec, const Stored& in, std::size_t row, std::size_t col, std::size_t count, float* out) {
  const unsigned char* const stream = bytes_of(in, kCodes) + row * row_bytes(in);
  for (std::size_t i = 0; i < count; ++i) {
    const unsigned code = is_packed(codec) ? load_code(stream, col + i, codec.code_bits) : stream[col + i] ^ 0x80u;
    out[i] = value(codec, static_cast<std::uint8_t>(code), load_group(in, row, group_of(codec, col + i)));
  }
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
  variant.round_int(weights, row_shape(codec, cols), groups, codec.code_bits, codes);
}

void values_row(const Variant& variant, const Codec& codec, const std::uint8_t* codes, std::size_t cols,
                const GroupParams* groups, float* out) {
  variant.values_int(codes, row_shape(codec, cols), groups, codec.code_bits, out);
}

void store_codes(const Variant& variant, Stored& out, std::size_t row, const std::uint8_t* codes) {
  unsigned char* const stream = bytes_of(out, kCodes) + row * row_bytes(out);
  if (is_packed(*out.codec))
    variant.pack_bits(codes, out.cols, out.codec->code_bits, stream);
  else
    flip_top_bits(codes, out.cols, stream);
}

void decode(const Variant& variant, const Stored& in, std::size_t row, std::size_t col, std::size_t count, float* out) {
  const Codec& codec = *in.codec;
  const unsigned bits = codec.code_bits;
  const unsigned char* const stream = bytes_of(in, kCodes) + row * row_bytes(in);
  const auto load = [&](std::size_t group) { return load_group(in, row, group); };
  each_piece(codec, col, count, load, [&](std::size_t from, std::size_t to, RowShape shape, const GroupParams* groups) {
    std::uint8_t codes[kPiece];
    if (is_packed(codec))
      variant.unpack_bits(stream + from / 8 * bits, shape.count, bits, codes);
    else
      flip_top_bits(stream + from, shape.count, codes);
    variant.values_int(codes, shape, groups, bits, out + to);
  });
}

void dot(const Variant& variant, const Stored& in, std::size_t row, std::size_t rows, FewRows x, float* y,
         std::size_t y_stride) {
  const Codec& codec = *in.codec;
  const std::size_t groups = codec.groups_per_row(in.cols);
  std::vector<float> scales(groups), zero_points(codec.symmetric ? 0 : groups);
  for (std::size_t r = row; r < row + rows; ++r, ++y) {
    variant.widen_bf16(bytes_of(in, kScales) + 2 * r * groups, groups, scales.data());
    for (std::size_t g = 0; g < zero_points.size(); ++g) zero_points[g] = load_zero_point(in, r, g);
    variant.dot_int({bytes_of(in, kCodes) + r * row_bytes(in), codec.code_bits, !is_packed(codec)},
                    row_shape(codec, in.cols).group_size, scales.data(), codec.symmetric ? nullptr : zero_points.data(),
                    x, y, y_stride);
  }
}

bool dot_bytes(const Variant& variant, const Stored& in, std::size_t row, std::size_t rows, const ByteRow& x,
               float* y) {
  const Codec& codec = *in.codec;
  if (codec.code_bits != 4 && codec.code_bits != 8) return false;
  const std::size_t groups = codec.groups_per_row(in.cols);
  const float lowest = codec.code_bits == 8 ? 0.0f : -8.0f;  // the kernel takes the 128 off a code of 8 bits
  const bool has_mins = lowest != 0.0f || !codec.symmetric;
  std::vector<float> scales(groups), mins(has_mins ? groups : 0);
  for (std::size_t r = row; r < row + rows; ++r) {
    variant.widen_bf16(bytes_of(in, kScales) + 2 * r * groups, groups, scales.data());
    for (std::size_t g = 0; g < mins.size(); ++g)
      mins[g] = ((codec.symmetric ? 0.0f : load_zero_point(in, r, g)) - lowest) * scales[g];
    variant.bytes->integers({bytes_of(in, kCodes) + r * row_bytes(in), codec.code_bits, !is_packed(codec)},
                            row_shape(codec, in.cols).group_size, scales.data(), has_mins ? mins.data() : nullptr, x,
                            y++);
  }
  return true;
}

constexpr RowFunctions kRows = {fit_row, round_row, values_row, store_codes, store_groups, decode, dot, dot_bytes};

Codec make(std::string name, unsigned bits, std::size_t group_size, bool symmetric) {
  return {.name = std::move(name),
          .family = Family::integer,
          .code_bits = bits,
          .group_size = group_size,
          .symmetric = symmetric,
          .fit = fit,
          .round = round,
          .value = value,
          .layout = packed_layout,
          .pack = pack,
          .unpack = unpack,
          .rows = &kRows};
}

}  // namespace

void append_int(std::vector<Codec>& table) {
  constexpr std::size_t kGroupSizes[] = {32, 64, 128, 0};
  const auto suffix = [](std::size_t g) { return g == 0 ? std::string("channel") : "g" + std::to_string(g); };
  for (unsigned bits = 2; bits <= 8; ++bits)
    for (const std::size_t g : kGroupSizes)
      table.push_back(make("int" + std::to_string(bits) + "_" + suffix(g), bits, g, true));
  for (unsigned bits = 2; bits <= 8; ++bits)
    for (const std::size_t g : kGroupSizes)
      table.push_back(make("int" + std::to_string(bits) + "_asym_" + suffix(g), bits, g, false));
  table.push_back(make("int8_w8a8", 8, 0, true));
  table.back().layout = byte_layout;
  table.back().activations = ActivationRounding::Kind::int8_token;
}

}  // namespace strata::codec
