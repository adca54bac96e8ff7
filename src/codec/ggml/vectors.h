// What the files of GGUF's codebook types share: their description, one vector's search, and the fit of a super-block.
// Byte layouts and formulas: docs/formats/gguf.md.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "codec/ggml/grids.h"
#include "codec/ggml/storage.h"

namespace strata::codec {

/// A type whose weights are rounded vector_size at a time: signs, and one or two points of a grid of magnitudes.
/// weight = +-(scale * level), scale = (d * (2 scale_code + 1)) * unit with d the super-block's float16, scale_code
/// 0..15. A code is the index of the level in its grid, and kNegative.
struct VectorType {
  static constexpr int kScaleCodes = 16;
  static constexpr std::uint8_t kNegative = 8;
  GgmlLayout layout;
  const Grid& (*grid)();
  std::size_t vector_size;
  bool even_signs = false;  ///< an even number of a vector's weights is negative, so that the last sign is not stored
  float unit;
  float scale(float d, int scale_code) const { return d * static_cast<float>(2 * scale_code + 1) * unit; }
};

/// The search for one vector's codes: what every point of the grid costs at every scale, under the vector's
/// importances.
class VectorSearch {
 public:
  static constexpr std::size_t kMostSize = 8, kMostTables = 4;

  explicit VectorSearch(const Variant& variant, const VectorType& type)
      : variant_(variant), type_(type), grid_(type.grid()) {}
  /// importance: vector_size values, or null for ones.
  void load(const float* weights, const float* importance);
  void round(float scale, std::uint8_t* codes) const;

  /// The sum of importance * weight^2.
  double energy() const;
  /// The vector is parts() points of the grid. Where one sign must be turned, it may be in the first or in the second
  /// point: the tables of costs are then first those of both as they are, then those of both with a turned sign.
  std::size_t parts() const { return type_.vector_size / grid_.dims(); }
  std::size_t tables() const { return either() ? 2 * parts() : parts(); }
  const GridCosts& costs(std::size_t table) const { return costs_[table]; }

 private:
  bool either() const { return odd_ && parts() == 2; }
  void write(std::size_t part, std::size_t point, bool turned, std::uint8_t* codes) const;

  const Variant& variant_;
  const VectorType& type_;
  const Grid& grid_;
  float magnitudes_[kMostSize] = {}, importance_[kMostSize] = {};
  bool negative_[kMostSize] = {};
  bool odd_ = false;  ///< an odd number is negative, and must not be
  std::array<GridCosts, kMostTables> costs_;
};

/// The parameters of the groups of one super-block, as stored. importance: as weights; not read for ScaleFit::minmax.
void fit_vectors(const Variant& variant, const VectorType& type, const float* weights, const float* importance,
                 ScaleFit fit, GroupParams* groups);

// Functions that store the codes, or the scales, of a block. Each writes its own bits only.
void store_codes_iq2_xxs(const std::uint8_t* codes, unsigned char* block);
void store_codes_iq2_xs(const std::uint8_t* codes, unsigned char* block);
void store_codes_iq2_s(const std::uint8_t* codes, unsigned char* block);
void store_codes_iq3_xxs(const std::uint8_t* codes, unsigned char* block);
void store_codes_iq3_s(const std::uint8_t* codes, unsigned char* block);
void store_groups_iq2_xxs(const GroupParams* groups, unsigned char* block);
void store_groups_iq2_xs(const GroupParams* groups, unsigned char* block);
void store_groups_iq2_s(const GroupParams* groups, unsigned char* block);
void store_groups_iq3_xxs(const GroupParams* groups, unsigned char* block);
void store_groups_iq3_s(const GroupParams* groups, unsigned char* block);

}  // namespace strata::codec
