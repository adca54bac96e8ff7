// The codebook types of GGUF as codecs: IQ2 and IQ3, super-blocks of 256 whose weights are points of a grid with signs.
// Byte layouts and formulas: docs/formats/gguf.md.
#include "codec/ggml/vectors.h"

#include <cmath>
#include <utility>

#include "codec/family.h"
#include "codec/ggml/block_functions.h"

namespace strata::codec {
namespace {

/// What a row leaves out: groups of 32 weights.
constexpr std::array<VectorType, 5> kTypes{{
    {.layout = {.name = "iq3_s",
                .code_bits = 3,
                .block_weights = 256,
                .block_bytes = 110,
                .type = BlockType::iq3_s,
                .store_codes = store_codes_iq3_s,
                .store_groups = store_groups_iq3_s},
     .grid = grid_iq3_s,
     .vector_size = 4,
     .unit = 1.0f},
    {.layout = {.name = "iq3_xxs",
                .code_bits = 3,
                .block_weights = 256,
                .block_bytes = 98,
                .type = BlockType::iq3_xxs,
                .store_codes = store_codes_iq3_xxs,
                .store_groups = store_groups_iq3_xxs},
     .grid = grid_iq3_xxs,
     .vector_size = 8,
     .even_signs = true,
     .unit = 0.25f},
    {.layout = {.name = "iq2_s",
                .code_bits = 2,
                .group_size = 16,
                .block_weights = 256,
                .block_bytes = 82,
                .type = BlockType::iq2_s,
                .store_codes = store_codes_iq2_s,
                .store_groups = store_groups_iq2_s},
     .grid = grid_iq2_s,
     .vector_size = 8,
     .unit = 0.125f},
    {.layout = {.name = "iq2_xs",
                .code_bits = 2,
                .group_size = 16,
                .block_weights = 256,
                .block_bytes = 74,
                .type = BlockType::iq2_xs,
                .store_codes = store_codes_iq2_xs,
                .store_groups = store_groups_iq2_xs},
     .grid = grid_iq2_xs,
     .vector_size = 8,
     .even_signs = true,
     .unit = 0.125f},
    {.layout = {.name = "iq2_xxs",
                .code_bits = 2,
                .block_weights = 256,
                .block_bytes = 66,
                .type = BlockType::iq2_xxs,
                .store_codes = store_codes_iq2_xxs,
                .store_groups = store_groups_iq2_xxs},
     .grid = grid_iq2_xxs,
     .vector_size = 8,
     .even_signs = true,
     .unit = 0.125f},
}};

template <std::size_t kIndex>
struct Functions : GgmlVectors<Functions<kIndex>> {
  static constexpr const VectorType& kType = kTypes[kIndex];
  static constexpr const GgmlLayout& kLayout = kType.layout;
  static constexpr std::size_t kVector = kType.vector_size;

  static void fit_block(const Variant& variant, const float* weights, const float* importance, ScaleFit fit,
                        GroupParams* groups) {
    fit_vectors(variant, kType, weights, importance, fit, groups);
  }

  static float value(const Codec&, std::uint8_t code, const GroupParams& group) {
    const float magnitude = group.scale * kType.grid().level(code & 7u);
    return (code & VectorType::kNegative) != 0 ? -magnitude : magnitude;
  }

  static void round_row(const Variant& variant, const Codec&, const float* weights, const float* importance,
                        std::size_t cols, const GroupParams* groups, std::uint8_t* codes) {
    VectorSearch search(variant, kType);
    for (std::size_t c = 0; c < cols; c += kType.vector_size) {
      search.load(weights + c, importance_from(importance, c));
      search.round(groups[c / kLayout.group_size].scale, codes + c);
    }
  }
};

}  // namespace

void VectorSearch::load(const float* weights, const float* importance) {
  if (importance == nullptr)
    std::fill_n(importance_, type_.vector_size, 1.0f);
  else
    usable_importance(importance, type_.vector_size, importance_);
  bool odd = false;
  for (std::size_t i = 0; i < type_.vector_size; ++i) {
    negative_[i] = weights[i] < 0.0f;
    odd = odd != negative_[i];
    magnitudes_[i] = std::fabs(weights[i]);
  }
  odd_ = odd && type_.even_signs;
  const std::size_t dims = grid_.dims();
  for (std::size_t part = 0; part < parts(); ++part)
    variant_.grid_costs(grid_.view(), magnitudes_ + part * dims, importance_ + part * dims, odd_ && !either(),
                        costs_[part]);
  for (std::size_t part = 0; either() && part < parts(); ++part)
    variant_.grid_costs(grid_.view(), magnitudes_ + part * dims, importance_ + part * dims, true,
                        costs_[parts() + part]);
}

void VectorSearch::round(float scale, std::uint8_t* codes) const {
  const float ratio = scale == 0.0f ? 0.0f : 2.0f / scale;
  std::size_t points[kMostTables];
  float least[kMostTables];
  for (std::size_t t = 0; t < tables(); ++t) {
    points[t] = variant_.lowest_point(costs_[t], grid_.size(), ratio);
    least[t] = costs_[t].square[points[t]] - ratio * costs_[t].cross[points[t]];
  }
  const bool second = either() && least[0] + least[3] < least[2] + least[1];
  for (std::size_t part = 0; part < parts(); ++part) {
    const bool turned = odd_ && (!either() || second == (part == 1));
    write(part, points[either() && turned ? parts() + part : part], turned, codes);
  }
}

double VectorSearch::energy() const {
  double sum = 0.0;
  for (std::size_t i = 0; i < type_.vector_size; ++i)
    sum +=
        static_cast<double>(importance_[i]) * static_cast<double>(magnitudes_[i]) * static_cast<double>(magnitudes_[i]);
  return sum;
}

/// The codes of a point; when `turned`, the weight that costs least has the other sign.
void VectorSearch::write(std::size_t part, std::size_t point, bool turned, std::uint8_t* codes) const {
  const std::size_t first = part * grid_.dims();
  const float* const levels = grid_.point(point);
  std::size_t cheapest = 0;
  float least = HUGE_VALF;
  for (std::size_t i = 0; i < grid_.dims(); ++i) {
    const float cost = importance_[first + i] * levels[i] * magnitudes_[first + i];
    if (cost < least) {
      least = cost;
      cheapest = i;
    }
  }
  for (std::size_t i = 0; i < grid_.dims(); ++i) {
    const bool negative = negative_[first + i] != (turned && i == cheapest);
    codes[first + i] = static_cast<std::uint8_t>(grid_.indices(point)[i] | (negative ? VectorType::kNegative : 0));
  }
}

void append_ggml_vectors(std::vector<Codec>& table) {
  append_types<Functions>(table, std::make_index_sequence<kTypes.size()>());
}

}  // namespace strata::codec
