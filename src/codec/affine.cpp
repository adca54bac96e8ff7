// Unsigned integers of 2 to 8 bits with a bf16 scale and a bf16 bias a group, as MLX holds them ("affine").
// Byte layout and formulas: docs/formats/mlx.md.
#include <algorithm>
#include <array>
#include <cmath>

#include "codec/family.h"
#include "codec/ggml/ggml.h"
#include "core/error.h"
#include "core/numbers.h"

namespace strata::codec {
namespace {

enum Part : std::size_t { kCodes, kScales, kBiases };

constexpr std::size_t kMostGroup = 128, kCandidates = 16;
constexpr double kBetter = 1.0 - 1e-5;  // more than the sums' rounding

Levels levels_of(const Codec& codec) {
  /// By bits: the share of a group's range down to which the search shrinks it.
  constexpr float kNarrowest[9] = {0, 0, 0.4f, 0.5f, 0.65f, 0.75f, 0.85f, 0, 0.95f};
  return {.table = false,
          .lowest = 0.0f,
          .highest = static_cast<float>((1u << codec.code_bits) - 1),
          .narrowest = kNarrowest[codec.code_bits]};
}

/// The nearest finite bf16; 0 for NaN.
float bf16_of(float value) {
  constexpr float kLargest = 0x1.FEp127f;
  return std::isnan(value) ? 0.0f : round_bf16(std::clamp(value, -kLargest, kLargest));
}

/// The finite bf16 that is `steps` further from 0 than a bf16 of the same sign, and never 0.
float bf16_beside(float value, int steps) {
  const int bits = to_bf16(value).bits, magnitude = std::clamp((bits & 0x7FFF) + steps, 1, 0x7F7F);
  return to_float(bf16{static_cast<std::uint16_t>((bits & 0x8000) | magnitude)});
}

/// One of the two bf16 between which a number lies: the nearer one, or the other.
float bf16_around(float value, bool other) {
  const float nearest = bf16_of(value);
  if (!other || nearest == 0.0f) return nearest;
  return bf16_beside(nearest, std::fabs(nearest) < std::fabs(value) ? 1 : -1);
}

/// mx.quantize's rule: the end of the range that is further from 0 is the bias, and the scale such that 0 is a code.
GroupParams minmax(const Codec& codec, std::span<const float> weights) {
  constexpr float kLeastScale = 1e-7f;
  const auto [least, most] = std::ranges::minmax_element(weights);
  const float low = *least, high = *most;
  const bool from_low = std::fabs(low) > std::fabs(high);
  float scale = std::max((high - low) / levels_of(codec).highest, kLeastScale);
  if (!from_low) scale = -scale;
  const float edge = from_low ? low : high, code = std::nearbyint(edge / scale);
  if (code == 0.0f) return {.scale = bf16_of(scale), .min = 0.0f};
  return {.scale = bf16_of(edge / code), .min = 0.0f - bf16_of(edge)};
}

/// Sixteen pairs of scale and min, and the best of them so far.
class Candidates {
 public:
  explicit Candidates(GroupParams plain) : best_(plain) {}

  template <class Errors>
  void judge(Errors errors_of, const std::array<GroupParams, kCandidates>& pairs) {
    float scales[kCandidates], mins[kCandidates], errors[kCandidates];
    for (std::size_t k = 0; k < kCandidates; ++k) {
      scales[k] = pairs[k].scale;
      mins[k] = pairs[k].min;
    }
    errors_of(scales, mins, errors);
    for (std::size_t k = 0; k < kCandidates; ++k)
      if (errors[k] < error_) {
        error_ = errors[k];
        best_ = pairs[k];
      }
  }
  /// From now on a pair is taken only when it is better than the best by more than rounding.
  void be_strict() { error_ *= kBetter; }
  GroupParams best() const { return best_; }

 private:
  GroupParams best_;
  double error_ = HUGE_VAL;
};

/// bf16 moves a scale by up to 2^-9, which codes of 8 bits feel at the far end of the range, and a bias by up to half
/// a step of theirs: for scales around the one that was found the best min in bf16, and for mins around it the best
/// scale, by least squares.
GroupParams fit_group(const Variant& variant, const Codec& codec, std::span<const float> weights,
                      const float* importance, ScaleFit fit) {
  const GroupParams plain = minmax(codec, weights);
  if (fit == ScaleFit::minmax) return plain;
  const std::size_t count = weights.size();
  const Levels levels = levels_of(codec);
  float h[kMostGroup];
  usable_importance(importance, count, h);
  const auto errors_of = [&](const float* scales, const float* mins, float* errors) {
    variant.errors_of_levels(weights.data(), h, count, levels, scales, mins, errors);
  };
  const LevelChoice found = variant.search_levels(weights.data(), h, count, levels, MinSign::both);
  const LevelMoments m = variant.moments_of_levels(weights.data(), h, count, levels, found.scale, found.min);
  const float scale = bf16_of(found.scale), min = bf16_of(found.min);
  std::array<GroupParams, kCandidates> pairs;
  Candidates candidates(plain);
  pairs.fill(plain);
  candidates.judge(errors_of, pairs);
  candidates.be_strict();
  for (int k = 0; k < static_cast<int>(kCandidates); ++k) {
    pairs[k].scale = bf16_beside(scale, k / 2 - 3);
    const double wanted = (static_cast<double>(pairs[k].scale) * m.hq - m.hw) / m.h;
    pairs[k].min = bf16_around(static_cast<float>(wanted), k % 2 != 0);
  }
  candidates.judge(errors_of, pairs);
  for (int k = 0; k < static_cast<int>(kCandidates); ++k) {
    pairs[k].min = min == 0.0f ? min : bf16_beside(min, k / 2 - 3);
    const double wanted = (m.hqw + static_cast<double>(pairs[k].min) * m.hq) / m.hqq;
    pairs[k].scale = bf16_around(static_cast<float>(wanted), k % 2 != 0);
  }
  candidates.judge(errors_of, pairs);
  return candidates.best();
}

GroupParams fit(const Codec& codec, std::span<const float> weights, std::span<const float> importance, ScaleFit fit,
                float) {
  const Importance h(importance, weights.size(), fit);
  return fit_group(kVariantPortable, codec, weights, h.data(), fit);
}

std::uint8_t round(const Codec& codec, float weight, const GroupParams& group) {
  const float inverse = group.scale == 0.0f ? 0.0f : 1.0f / group.scale, highest = levels_of(codec).highest;
  float level = (weight + group.min) * inverse;
  level = level > 0.0f ? level : 0.0f;  // NaN becomes 0
  level = level < highest ? level : highest;
  return static_cast<std::uint8_t>(std::nearbyint(level));
}

float value(const Codec&, std::uint8_t code, const GroupParams& group) {
  return static_cast<float>(code) * group.scale - group.min;
}

std::vector<PartSpec> layout(const Codec& codec, std::uint64_t rows, std::uint64_t cols) {
  const std::uint64_t groups = codec.groups_per_row(cols);
  return {{"weight", DType::u32, {rows, cols / 32 * codec.code_bits}},
          {"scales", DType::bf16, {rows, groups}},
          {"biases", DType::bf16, {rows, groups}}};
}

std::size_t row_bytes(const Stored& stored) { return stored.cols / 8 * stored.codec->code_bits; }

GroupParams load_group(const Stored& in, std::size_t row, std::size_t group) {
  const std::size_t at = row * in.codec->groups_per_row(in.cols) + group;
  return {.scale = load_bf16(bytes_of(in, kScales), at), .min = 0.0f - load_bf16(bytes_of(in, kBiases), at)};
}

void store_groups(const Variant&, Stored& out, std::size_t row, std::size_t count, const GroupParams* groups, float) {
  const std::size_t per_row = out.codec->groups_per_row(out.cols);
  for (std::size_t i = 0; i < count * per_row; ++i) {
    store_bf16(bytes_of(out, kScales), row * per_row + i, groups[i].scale);
    store_bf16(bytes_of(out, kBiases), row * per_row + i, 0.0f - groups[i].min);
  }
}

void pack(const Codec& codec, Stored& out, std::size_t row, std::size_t count, const std::uint8_t* codes,
          const GroupParams* groups, float tensor_scale) {
  for (std::size_t i = 0; i < count * out.cols; ++i)
    store_code(bytes_of(out, kCodes) + (row + i / out.cols) * row_bytes(out), i % out.cols, codec.code_bits, codes[i]);
  store_groups(kVariantPortable, out, row, count, groups, tensor_scale);
}

void unpack(const Codec& codec, const Stored& in, std::size_t row, std::size_t col, std::size_t count, float* out) {
  const unsigned char* const stream = bytes_of(in, kCodes) + row * row_bytes(in);
  for (std::size_t i = 0; i < count; ++i)
    out[i] = value(codec, static_cast<std::uint8_t>(load_code(stream, col + i, codec.code_bits)),
                   load_group(in, row, group_of(codec, col + i)));
}

void fit_row(const Variant& variant, const Codec& codec, const float* weights, const float* importance,
             std::size_t cols, ScaleFit fit, float, GroupParams* groups) {
  for (std::size_t c = 0; c < cols; c += codec.group_size)
    *groups++ = fit_group(variant, codec, {weights + c, codec.group_size}, importance_from(importance, c), fit);
}

void round_row(const Variant& variant, const Codec& codec, const float* weights, const float*, std::size_t cols,
               const GroupParams* groups, std::uint8_t* codes) {
  const Levels levels = levels_of(codec);
  for (std::size_t c = 0; c < cols; c += codec.group_size, ++groups)
    variant.round_levels(weights + c, codec.group_size, levels, groups->scale, groups->min, codes + c);
}

void values_row(const Variant& variant, const Codec& codec, const std::uint8_t* codes, std::size_t cols,
                const GroupParams* groups, float* out) {
  variant.values_affine(codes, row_shape(codec, cols), groups, out);
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
    variant.values_affine(codes, shape, groups, out + to);
  });
}

void dot(const Variant& variant, const Stored& in, std::size_t row, std::size_t rows, FewRows x, float* y,
         std::size_t y_stride) {
  const Codec& codec = *in.codec;
  const std::size_t groups = codec.groups_per_row(in.cols);
  std::vector<float> scales(groups), mins(groups);
  for (std::size_t r = row; r < row + rows; ++r, ++y) {
    variant.widen_bf16(bytes_of(in, kScales) + 2 * r * groups, groups, scales.data());
    variant.widen_bf16(bytes_of(in, kBiases) + 2 * r * groups, groups, mins.data());
    for (float& min : mins) min = 0.0f - min;
    variant.dot_affine({bytes_of(in, kCodes) + r * row_bytes(in), codec.code_bits, false}, codec.group_size,
                       scales.data(), mins.data(), x, y, y_stride);
  }
}

constexpr RowFunctions kRows = {fit_row, round_row, values_row, store_codes, store_groups, decode, dot};

}  // namespace

void append_affine(std::vector<Codec>& table) {
  for (const unsigned bits : {2u, 3u, 4u, 5u, 6u, 8u})
    for (const std::size_t group_size : {32u, 64u, 128u})
      table.push_back({.name = fmt::format("mlx{}_g{}", bits, group_size),
                       .family = Family::affine,
                       .container = Container::mlx,
                       .code_bits = bits,
                       .group_size = group_size,
                       .symmetric = false,
                       .fit = fit,
                       .round = round,
                       .value = value,
                       .layout = layout,
                       .pack = pack,
                       .unpack = unpack,
                       .rows = &kRows});
}

}  // namespace strata::codec
