// What the files of IQ1_S and IQ1_M share: their description, one vector's search, and the fit of a super-block.
// Byte layouts and formulas: docs/formats/gguf.md.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "codec/ggml/grids.h"
#include "codec/ggml/storage.h"

namespace strata::codec {

/// A type whose vectors of eight weights are points of grid_iq1, all eight levels moved by an eighth upwards or
/// downwards: weight = scale * (level +- 1/8), scale = d * (2 scale_code + 1) with d the super-block's float16. A code
/// is the index of the level, and kDown.
struct Iq1Type {
  static constexpr int kScaleCodes = 8;
  static constexpr std::size_t kVector = 8;
  static constexpr std::uint8_t kDown = 8;
  static constexpr float kMove = 0.125f, kHighest = 1.0f + kMove;
  GgmlLayout layout;
  bool by_group;  ///< all vectors of a group move alike, as GroupParams::min_code says: 1 is downwards
  static float scale(float d, int scale_code) { return d * static_cast<float>(2 * scale_code + 1); }
};

/// What a vector costs at every scale, for both moves, under its importances.
class Iq1Search {
 public:
  enum Move : std::size_t { kUpwards, kDownwards };
  struct Point {
    std::size_t index = 0;
    float cross = 0.0f, square = 0.0f;  ///< sums of h w g and of h g g, g being the moved levels
    float cost(float scale) const { return scale * (scale * square - 2.0f * cross); }
  };

  explicit Iq1Search(const Variant& variant) : variant_(variant) {}
  /// importance: eight values, or null for ones.
  void load(const float* weights, const float* importance);
  Point cheapest(Move move, float scale) const;

 private:
  const Variant& variant_;
  std::array<std::array<GridCosts, 2>, 2> costs_;  ///< by move; the grid is in two halves
};

/// The parameters of the groups of one super-block, as stored. importance: as weights; not read for ScaleFit::minmax.
void fit_iq1(const Variant& variant, const Iq1Type& type, const float* weights, const float* importance, ScaleFit fit,
             GroupParams* groups);

// Functions that store the codes, or the scales, of a block. Each writes its own bits only.
void store_codes_iq1_s(const std::uint8_t* codes, unsigned char* block);
void store_codes_iq1_m(const std::uint8_t* codes, unsigned char* block);
void store_groups_iq1_s(const GroupParams* groups, unsigned char* block);
void store_groups_iq1_m(const GroupParams* groups, unsigned char* block);

}  // namespace strata::codec
