// IQ1_S and IQ1_M as codecs: their table, the rounding of a vector, and where the bits of codes and scales lie.
// Byte layouts and formulas: docs/formats/gguf.md.
#include "codec/ggml/iq1.h"

#include <cstring>
#include <utility>
#include <vector>

#include "codec/family.h"
#include "codec/ggml/block_functions.h"
#include "core/error.h"
#include "core/numbers.h"

namespace strata::codec {
namespace {

constexpr std::array<Iq1Type, 2> kTypes{{
    {.layout = {.name = "iq1_m",
                .code_bits = 2,
                .group_size = 16,
                .block_weights = 256,
                .block_bytes = 56,
                .type = BlockType::iq1_m,
                .store_codes = store_codes_iq1_m,
                .store_groups = store_groups_iq1_m},
     .by_group = false},
    {.layout = {.name = "iq1_s",
                .code_bits = 2,
                .block_weights = 256,
                .block_bytes = 50,
                .type = BlockType::iq1_s,
                .store_codes = store_codes_iq1_s,
                .store_groups = store_groups_iq1_s},
     .by_group = true},
}};

/// The moved levels of half of the grid's points, as the kernels read them: level i of point p at [i * kHalf + p].
constexpr std::size_t kHalf = 1024;
static_assert(kHalf <= kMostPoints);
using HalfGrid = std::array<float, kHalf * Iq1Type::kVector>;
const HalfGrid& half_grid(std::size_t move, std::size_t half) {
  static const std::vector<HalfGrid> grids = [] {
    std::vector<HalfGrid> made(4);
    for (std::size_t m = 0; m < 2; ++m)
      for (std::size_t p = 0; p < 2 * kHalf; ++p)
        for (std::size_t i = 0; i < Iq1Type::kVector; ++i)
          made[2 * m + p / kHalf][i * kHalf + p % kHalf] =
              grid_iq1().point(p)[i] + (m == Iq1Search::kUpwards ? Iq1Type::kMove : -Iq1Type::kMove);
    return made;
  }();
  return grids[2 * move + half];
}

/// The codes of a point.
void write(std::size_t point, Iq1Search::Move move, std::uint8_t* codes) {
  for (std::size_t i = 0; i < Iq1Type::kVector; ++i)
    codes[i] =
        static_cast<std::uint8_t>(grid_iq1().indices(point)[i] | (move == Iq1Search::kDownwards ? Iq1Type::kDown : 0));
}

template <std::size_t kIndex>
struct Functions : GgmlVectors<Functions<kIndex>> {
  static constexpr const Iq1Type& kType = kTypes[kIndex];
  static constexpr const GgmlLayout& kLayout = kType.layout;
  static constexpr std::size_t kVector = Iq1Type::kVector;

  static void fit_block(const Variant& variant, const float* weights, const float* importance, ScaleFit fit,
                        GroupParams* groups) {
    fit_iq1(variant, kType, weights, importance, fit, groups);
  }

  static float value(const Codec&, std::uint8_t code, const GroupParams& group) {
    const float move = (code & Iq1Type::kDown) != 0 ? -Iq1Type::kMove : Iq1Type::kMove;
    return group.scale * (static_cast<float>(code & 3u) - 1.0f + move);
  }

  static void round_row(const Variant& variant, const Codec&, const float* weights, const float* importance,
                        std::size_t cols, const GroupParams* groups, std::uint8_t* codes) {
    Iq1Search search(variant);
    for (std::size_t c = 0; c < cols; c += Iq1Type::kVector) {
      const GroupParams& group = groups[c / kLayout.group_size];
      search.load(weights + c, importance_from(importance, c));
      const auto up = search.cheapest(Iq1Search::kUpwards, group.scale);
      const auto down = search.cheapest(Iq1Search::kDownwards, group.scale);
      const bool downwards = kType.by_group ? group.min_code != 0 : down.cost(group.scale) < up.cost(group.scale);
      write(downwards ? down.index : up.index, downwards ? Iq1Search::kDownwards : Iq1Search::kUpwards, codes + c);
    }
  }
};

unsigned point_of(const std::uint8_t* codes) {
  std::uint8_t indices[Iq1Type::kVector];
  for (std::size_t i = 0; i < Iq1Type::kVector; ++i) indices[i] = codes[i] & 3u;
  const std::size_t point = grid_iq1().find(indices);
  STRATA_CHECK(point < grid_iq1().size(), "codes that are no point of the grid of {}", grid_iq1().size());
  return static_cast<unsigned>(point);
}

unsigned char byte(unsigned value) { return static_cast<unsigned char>(value); }

unsigned load_word(const unsigned char* p) { return p[0] | static_cast<unsigned>(p[1]) << 8; }
void store_word(unsigned value, unsigned char* p) {
  p[0] = byte(value & 255u);
  p[1] = byte(value >> 8 & 255u);
}

}  // namespace

void Iq1Search::load(const float* weights, const float* importance) {
  float usable[Iq1Type::kVector];
  if (importance == nullptr)
    std::fill_n(usable, Iq1Type::kVector, 1.0f);
  else
    usable_importance(importance, Iq1Type::kVector, usable);
  for (std::size_t move = 0; move < 2; ++move)
    for (std::size_t half = 0; half < 2; ++half)
      variant_.grid_costs({half_grid(move, half).data(), kHalf, Iq1Type::kVector}, weights, usable, false,
                          costs_[move][half]);
}

Iq1Search::Point Iq1Search::cheapest(Move move, float scale) const {
  const float ratio = scale == 0.0f ? 0.0f : 2.0f / scale;
  Point points[2];
  float least[2];
  for (std::size_t half = 0; half < 2; ++half) {
    const GridCosts& costs = costs_[move][half];
    const std::size_t at = variant_.lowest_point(costs, kHalf, ratio);
    points[half] = {half * kHalf + at, costs.cross[at], costs.square[at]};
    least[half] = costs.square[at] - ratio * costs.cross[at];
  }
  return least[1] < least[0] ? points[1] : points[0];
}

void store_codes_iq1_s(const std::uint8_t* codes, unsigned char* block) {
  for (std::size_t g = 0; g < 8; ++g) {
    unsigned char* const high = block + 34 + 2 * g;
    unsigned word = load_word(high) & 0xF000u;
    for (std::size_t k = 0; k < 4; ++k) {
      const unsigned point = point_of(codes + 32 * g + 8 * k);
      block[2 + 4 * g + k] = byte(point & 255u);
      word |= point >> 8 << (3 * k);
    }
    store_word(word, high);
  }
}

void store_groups_iq1_s(const GroupParams* groups, unsigned char* block) {
  store_word(to_f16(groups->super_scale).bits, block);
  for (std::size_t g = 0; g < 8; ++g) {
    unsigned char* const high = block + 34 + 2 * g;
    const unsigned bits = static_cast<unsigned>(groups[g].scale_code) | static_cast<unsigned>(groups[g].min_code) << 3;
    store_word((load_word(high) & 0x0FFFu) | bits << 12, high);
  }
}

void store_codes_iq1_m(const std::uint8_t* codes, unsigned char* block) {
  for (std::size_t v = 0; v < 32; ++v) {
    const unsigned point = point_of(codes + 8 * v);
    const unsigned high = point >> 8 | ((codes[8 * v] & Iq1Type::kDown) != 0 ? 8u : 0u);
    block[v] = byte(point & 255u);
    block[32 + v / 2] = byte(v % 2 == 0 ? high : block[32 + v / 2] | high << 4);
  }
}

void store_groups_iq1_m(const GroupParams* groups, unsigned char* block) {
  const unsigned d = to_f16(groups->super_scale).bits;
  for (std::size_t k = 0; k < 4; ++k) {
    unsigned word = (d >> (4 * k) & 15u) << 12;
    for (std::size_t g = 0; g < 4; ++g) word |= static_cast<unsigned>(groups[4 * k + g].scale_code) << (3 * g);
    store_word(word, block + 48 + 2 * k);
  }
}

void append_ggml_iq1(std::vector<Codec>& table) {
  append_types<Functions>(table, std::make_index_sequence<kTypes.size()>());
}

}  // namespace strata::codec
