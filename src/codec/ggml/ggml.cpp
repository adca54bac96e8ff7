// The types of GGUF files as codecs: integers and the IQ4 table with float16 scales a block of 32, or 6-bit scales in
// super-blocks of 256. One part, "weight": rows of blocks. Byte layouts and formulas: docs/formats/gguf.md.
#include "codec/ggml/ggml.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "codec/family.h"

namespace strata::codec {
namespace {

constexpr Levels uniform(float lowest, float highest, float narrowest) { return {false, lowest, highest, narrowest}; }
constexpr Levels kIq4{true, -127.0f, 113.0f, 0.6f};
using enum MinSign;

constexpr std::array<GgmlType, 12> kTypes{{
    {{"q8_0", 8, 32, 32, 34, BlockType::q8_0, store_codes_q8_0, store_scale}, uniform(-127, 127, 0.96f), none, 0, 0, 0},
    {{"q4_0", 4, 32, 32, 18, BlockType::q4_0, store_codes_q4_0, store_scale}, uniform(-8, 7, 0.6f), none, 0, 0, 0},
    {{"q4_1", 4, 32, 32, 20, BlockType::q4_1, store_codes_q4_1, store_scale_and_min},
     uniform(0, 15, 0.7f),
     both,
     0,
     0,
     0},
    {{"q5_0", 5, 32, 32, 22, BlockType::q5_0, store_codes_q5_0, store_scale}, uniform(-16, 15, 0.75f), none, 0, 0, 0},
    {{"q5_1", 5, 32, 32, 24, BlockType::q5_1, store_codes_q5_1, store_scale_and_min},
     uniform(0, 31, 0.8f),
     both,
     0,
     0,
     0},
    {{"iq4_nl", 4, 32, 32, 18, BlockType::iq4_nl, store_codes_q4_0, store_scale}, kIq4, none, 0, 0, 0},
    {{"q6_k", 6, 16, 256, 210, BlockType::q6_k, store_codes_q6_k, store_groups_q6_k},
     uniform(-32, 31, 0.85f),
     none,
     -128,
     127,
     0},
    {{"q5_k", 5, 32, 256, 176, BlockType::q5_k, store_codes_q5_k, store_groups_q45_k},
     uniform(0, 31, 0.8f),
     positive,
     0,
     63,
     63},
    {{"q4_k", 4, 32, 256, 144, BlockType::q4_k, store_codes_q4_k, store_groups_q45_k},
     uniform(0, 15, 0.7f),
     positive,
     0,
     63,
     63},
    {{"q3_k", 3, 16, 256, 110, BlockType::q3_k, store_codes_q3_k, store_groups_q3_k},
     uniform(-4, 3, 0.5f),
     none,
     -32,
     31,
     0},
    {{"q2_k", 2, 16, 256, 84, BlockType::q2_k, store_codes_q2_k, store_groups_q2_k},
     uniform(0, 3, 0.45f),
     positive,
     0,
     15,
     15},
    {{"iq4_xs", 4, 32, 256, 136, BlockType::iq4_xs, store_codes_iq4_xs, store_groups_iq4_xs}, kIq4, none, -32, 31, 0},
}};

/// The functions of type kIndex of the table.
template <std::size_t kIndex>
struct Functions : GgmlStorage<Functions<kIndex>> {
  static constexpr const GgmlType& kType = kTypes[kIndex];
  static constexpr const GgmlLayout& kLayout = kType.layout;
  using Storage = GgmlStorage<Functions>;

  static GroupParams fit(const Codec&, std::span<const float> weights, std::span<const float> importance, ScaleFit fit,
                         float) {
    const Importance h(importance, weights.size(), fit);
    GroupParams group;
    fit_block(kVariantPortable, kType, weights.data(), h.data(), fit, &group);
    return group;
  }

  static void fit_super(const Codec&, std::span<const float> weights, std::span<const float> importance, ScaleFit fit,
                        std::span<GroupParams> groups) {
    const Importance h(importance, weights.size(), fit);
    fit_block(kVariantPortable, kType, weights.data(), h.data(), fit, groups.data());
  }

  static std::uint8_t round(const Codec&, float weight, const GroupParams& group) {
    const float inverse = group.scale == 0.0f ? 0.0f : 1.0f / group.scale, x = (weight + group.min) * inverse;
    const Levels& levels = kType.levels;
    if (levels.table) {
      std::uint8_t code = 0;
      for (std::size_t k = 1; k < std::size(kIq4Levels) && 0.5f * (kIq4Levels[k - 1] + kIq4Levels[k]) < x; ++k) ++code;
      return code;
    }
    float level = x > levels.lowest ? x : levels.lowest;  // NaN becomes the lowest
    level = level < levels.highest ? level : levels.highest;
    return static_cast<std::uint8_t>(std::nearbyint(level) - levels.lowest);
  }

  static float value(const Codec&, std::uint8_t code, const GroupParams& group) {
    const float level = kType.levels.table ? kIq4Levels[code & 15u] : static_cast<float>(code) + kType.levels.lowest;
    return group.scale * level - group.min;
  }

  static void fit_row(const Variant& variant, const Codec&, const float* weights, const float* importance,
                      std::size_t cols, ScaleFit fit, float, GroupParams* groups) {
    for (std::size_t c = 0; c < cols; c += kLayout.block_weights, groups += kLayout.groups())
      fit_block(variant, kType, weights + c, importance == nullptr ? nullptr : importance + c, fit, groups);
  }

  static void round_row(const Variant& variant, const Codec&, const float* weights, const float*, std::size_t cols,
                        const GroupParams* groups, std::uint8_t* codes) {
    for (std::size_t c = 0; c < cols; c += kLayout.group_size, ++groups)
      variant.round_levels(weights + c, kLayout.group_size, kType.levels, groups->scale, groups->min, codes + c);
  }

  static void values_row(const Variant&, const Codec& codec, const std::uint8_t* codes, std::size_t cols,
                         const GroupParams* groups, float* out) {
    for (std::size_t c = 0; c < cols; ++c) out[c] = value(codec, codes[c], groups[c / kLayout.group_size]);
  }

  static constexpr RowFunctions kRows = {
      fit_row, round_row, values_row, Storage::store_codes, Storage::store_groups, Storage::decode};

  static Codec codec() {
    Codec result = Storage::codec();
    result.symmetric = kType.sign == none;
    result.round = round;
    result.value = value;
    result.rows = &kRows;
    if (kType.super()) {
      result.super_size = kLayout.block_weights;
      result.fit_super = fit_super;
    } else {
      result.fit = fit;
    }
    return result;
  }
};

template <std::size_t... kIndex>
void append_all(std::vector<Codec>& table, std::index_sequence<kIndex...>) {
  (table.push_back(Functions<kIndex>::codec()), ...);
}

}  // namespace

void append_ggml(std::vector<Codec>& table) { append_all(table, std::make_index_sequence<kTypes.size()>()); }

}  // namespace strata::codec
