// The types of GGUF files as codecs: integers and the IQ4 table with float16 scales a block of 32, or 6-bit scales in
// super-blocks of 256; ternary numbers with one scale for 256. One part, "weight": rows of blocks. Byte layouts and
// formulas: docs/formats/gguf.md.
#include "codec/ggml/ggml.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "codec/family.h"
#include "codec/ggml/block_functions.h"

namespace strata::codec {
namespace {

constexpr Levels uniform(float lowest, float highest, float narrowest) {
  return {.table = false, .lowest = lowest, .highest = highest, .narrowest = narrowest};
}
/// The largest of 256 weights is far beyond the scale that serves them.
constexpr Levels kTernary = uniform(-1, 1, 0.2f);
constexpr Levels kTableOfIq4{.table = true, .lowest = kIq4Levels[0], .highest = kIq4Levels[15], .narrowest = 0.6f};

/// What a row leaves out: groups and blocks of 32 weights, no min, and no codes of scales and mins.
constexpr std::array<GgmlType, 14> kTypes{{
    {.layout = {.name = "q8_0",
                .code_bits = 8,
                .block_bytes = 34,
                .type = BlockType::q8_0,
                .store_codes = store_codes_q8_0,
                .store_groups = store_scale},
     .levels = uniform(-127, 127, 0.96f)},
    {.layout = {.name = "q4_0",
                .code_bits = 4,
                .block_bytes = 18,
                .type = BlockType::q4_0,
                .store_codes = store_codes_q4_0,
                .store_groups = store_scale},
     .levels = uniform(-8, 7, 0.6f)},
    {.layout = {.name = "q4_1",
                .code_bits = 4,
                .block_bytes = 20,
                .type = BlockType::q4_1,
                .store_codes = store_codes_q4_1,
                .store_groups = store_scale_and_min},
     .levels = uniform(0, 15, 0.7f),
     .sign = MinSign::both},
    {.layout = {.name = "q5_0",
                .code_bits = 5,
                .block_bytes = 22,
                .type = BlockType::q5_0,
                .store_codes = store_codes_q5_0,
                .store_groups = store_scale},
     .levels = uniform(-16, 15, 0.75f)},
    {.layout = {.name = "q5_1",
                .code_bits = 5,
                .block_bytes = 24,
                .type = BlockType::q5_1,
                .store_codes = store_codes_q5_1,
                .store_groups = store_scale_and_min},
     .levels = uniform(0, 31, 0.8f),
     .sign = MinSign::both},
    {.layout = {.name = "iq4_nl",
                .code_bits = 4,
                .block_bytes = 18,
                .type = BlockType::iq4_nl,
                .store_codes = store_codes_q4_0,
                .store_groups = store_scale},
     .levels = kTableOfIq4},
    {.layout = {.name = "q6_k",
                .code_bits = 6,
                .group_size = 16,
                .block_weights = 256,
                .block_bytes = 210,
                .type = BlockType::q6_k,
                .store_codes = store_codes_q6_k,
                .store_groups = store_groups_q6_k},
     .levels = uniform(-32, 31, 0.85f),
     .scale_least = -128,
     .scale_most = 127},
    {.layout = {.name = "q5_k",
                .code_bits = 5,
                .block_weights = 256,
                .block_bytes = 176,
                .type = BlockType::q5_k,
                .store_codes = store_codes_q5_k,
                .store_groups = store_groups_q45_k},
     .levels = uniform(0, 31, 0.8f),
     .sign = MinSign::positive,
     .scale_most = 63,
     .min_most = 63},
    {.layout = {.name = "q4_k",
                .code_bits = 4,
                .block_weights = 256,
                .block_bytes = 144,
                .type = BlockType::q4_k,
                .store_codes = store_codes_q4_k,
                .store_groups = store_groups_q45_k},
     .levels = uniform(0, 15, 0.7f),
     .sign = MinSign::positive,
     .scale_most = 63,
     .min_most = 63},
    {.layout = {.name = "q3_k",
                .code_bits = 3,
                .group_size = 16,
                .block_weights = 256,
                .block_bytes = 110,
                .type = BlockType::q3_k,
                .store_codes = store_codes_q3_k,
                .store_groups = store_groups_q3_k},
     .levels = uniform(-4, 3, 0.5f),
     .scale_least = -32,
     .scale_most = 31},
    {.layout = {.name = "q2_k",
                .code_bits = 2,
                .group_size = 16,
                .block_weights = 256,
                .block_bytes = 84,
                .type = BlockType::q2_k,
                .store_codes = store_codes_q2_k,
                .store_groups = store_groups_q2_k},
     .levels = uniform(0, 3, 0.45f),
     .sign = MinSign::positive,
     .scale_most = 15,
     .min_most = 15},
    {.layout = {.name = "iq4_xs",
                .code_bits = 4,
                .block_weights = 256,
                .block_bytes = 136,
                .type = BlockType::iq4_xs,
                .store_codes = store_codes_iq4_xs,
                .store_groups = store_groups_iq4_xs},
     .levels = kTableOfIq4,
     .scale_least = -32,
     .scale_most = 31},
    {.layout = {.name = "tq2_0",
                .code_bits = 2,
                .group_size = 256,
                .block_weights = 256,
                .block_bytes = 66,
                .type = BlockType::tq2_0,
                .store_codes = store_codes_tq2_0,
                .store_groups = store_scale_tq2_0},
     .levels = kTernary},
    {.layout = {.name = "tq1_0",
                .code_bits = 2,
                .group_size = 256,
                .block_weights = 256,
                .block_bytes = 54,
                .type = BlockType::tq1_0,
                .store_codes = store_codes_tq1_0,
                .store_groups = store_scale_tq1_0},
     .levels = kTernary},
}};

/// The functions of type kIndex of the table.
template <std::size_t kIndex>
struct Functions : GgmlBlocks<Functions<kIndex>> {
  static constexpr const GgmlType& kType = kTypes[kIndex];
  static constexpr const GgmlLayout& kLayout = kType.layout;

  static void fit_block(const Variant& variant, const float* weights, const float* importance, ScaleFit fit,
                        GroupParams* groups) {
    codec::fit_block(variant, kType, weights, importance, fit, groups);
  }

  static GroupParams fit(const Codec&, std::span<const float> weights, std::span<const float> importance, ScaleFit fit,
                         float) {
    const Importance h(importance, weights.size(), fit);
    GroupParams group;
    fit_block(kVariantPortable, weights.data(), h.data(), fit, &group);
    return group;
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

  static void round_row(const Variant& variant, const Codec&, const float* weights, const float*, std::size_t cols,
                        const GroupParams* groups, std::uint8_t* codes) {
    for (std::size_t c = 0; c < cols; c += kLayout.group_size, ++groups)
      variant.round_levels(weights + c, kLayout.group_size, kType.levels, groups->scale, groups->min, codes + c);
  }

  static Codec codec() {
    Codec result = GgmlBlocks<Functions>::codec();
    result.symmetric = kType.sign == MinSign::none;
    result.round = round;
    if (kType.super()) {
      result.super_size = kLayout.block_weights;
      result.fit_super = GgmlBlocks<Functions>::fit_super;
    } else {
      result.fit = fit;
    }
    return result;
  }
};

}  // namespace

void append_ggml(std::vector<Codec>& table) {
  append_types<Functions>(table, std::make_index_sequence<kTypes.size()>());
}

}  // namespace strata::codec
