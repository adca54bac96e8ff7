// The codebooks of GGUF's IQ types: points of 4 or 8 levels, of which a stored index picks one.
// Where the numbers come from: grids.cpp.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "codec/variant.h"

namespace strata::codec {

class Grid {
 public:
  /// packed: hexadecimal bytes; each has the indices into `levels` of 4 (at most four levels) or 2 weights, low bits
  /// first.
  Grid(std::string_view packed, std::size_t dims, std::vector<float> levels);

  std::size_t size() const { return by_point_.size() / dims_; }
  std::size_t dims() const { return dims_; }
  float level(std::size_t index) const { return levels_[index]; }
  float highest_level() const { return levels_.back(); }
  /// The dims() levels of a point, and their indices.
  const float* point(std::size_t p) const { return by_point_.data() + p * dims_; }
  const std::uint8_t* indices(std::size_t p) const { return indices_.data() + p * dims_; }
  /// The levels of all points, raised to begin at zero where one is negative; the decoders read these.
  const std::uint8_t* bytes() const { return bytes_.data(); }
  /// The point with these indices; size() when there is none.
  std::size_t find(const std::uint8_t* indices) const;
  GridView view() const { return {by_dim_.data(), size(), dims_}; }

 private:
  std::size_t key(const std::uint8_t* indices) const;

  std::size_t dims_;
  unsigned bits_;  ///< of an index
  std::vector<float> levels_, by_point_, by_dim_;
  std::vector<std::uint8_t> indices_, bytes_;
  std::vector<std::uint16_t> point_of_;  ///< by key
};

const Grid& grid_iq2_xxs();  ///< 256 points of 8, levels 8, 25, 43
const Grid& grid_iq2_xs();   ///< 512 points
const Grid& grid_iq2_s();    ///< 1024 points
const Grid& grid_iq3_xxs();  ///< 256 points of 4, levels 4, 12, ... 52, 62
const Grid& grid_iq3_s();    ///< 512 points of 4, levels 1, 3, ... 15
const Grid& grid_iq1();      ///< 2048 points of 8, levels -1, 0, 1

}  // namespace strata::codec
