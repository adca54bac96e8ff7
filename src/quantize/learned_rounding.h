// A linear whose rounding is being learned: every weight has an offset on the codec's grid and every scale a factor.
// Both move against a loss's gradient, which is taken straight through the rounding. The offsets are those of arXiv
// 2309.05516, the steps those of arXiv 1412.6980 with one mean square a group. Formulas: docs/methods.md.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "quantize/gptq.h"
#include "quantize/scales.h"

namespace strata::quantize {

class LearnedRounding {
 public:
  /// True for codecs that round every weight on its own; codebooks have no step to offset a weight by.
  static bool can_learn(const codec::Codec& codec) { return codec.has_codes() && codec.vector_size == 1; }

  /// Starts from a choice of (rows, cols) codes, decoding to exactly those codes. The codec must be one that can_learn.
  /// Memory: 18 bytes a weight.
  LearnedRounding(const codec::Codec& codec, std::size_t rows, std::size_t cols, float tensor_scale, Choice start);

  std::size_t rows() const { return rows_; }
  std::size_t cols() const { return cols_; }

  /// The weights that a reader would see with the present codes and scales: (rows, cols).
  void decode(std::span<float> out) const;
  /// One step against the running mean of the gradient, divided by the gradient's usual size in the group. gradient: of
  /// a loss by the decoded weights; decoded: what decode() gave last; both (rows, cols). offset_rate: how far a
  /// gradient of the usual size moves an offset, in steps of the grid; scale_rate: how far it moves a scale,
  /// relatively, for codecs whose scales may move. A group whose gradient is not finite stays as it is.
  void step(std::span<const float> gradient, std::span<const float> decoded, float offset_rate, float scale_rate);
  /// Remembers the present codes and scales as the ones to store.
  void keep();
  /// The stored form of what keep() remembered last, or of the start.
  codec::Stored stored() const;

 private:
  /// Running means of a group: the square of the gradient by a weight; the gradient by the scale's factor and its
  /// square.
  struct Moments {
    float squares = 0.0f, slope = 0.0f, slope_squares = 0.0f;
  };
  /// The weights that are rounded now.
  void wanted_row(std::size_t row, std::span<float> out) const;
  std::span<const codec::GroupParams> groups_of(std::size_t row) const;

  const codec::Codec& codec_;
  std::size_t rows_, cols_, groups_per_row_;
  float tensor_scale_;
  MovableScales scales_;
  std::vector<float> start_;      ///< the weights on the grid of scale 1, before the offset
  std::vector<float> offsets_;    ///< within +-0.5 steps
  std::vector<float> means_;      ///< running means of the gradient
  std::vector<Moments> moments_;  ///< by group
  std::size_t steps_ = 0;
  std::vector<std::uint8_t> start_codes_;  ///< the step around a weight's start code is the unit of its offset
  std::vector<float> step_of_code_;        ///< by code, at scale 1
  std::vector<codec::GroupParams> start_groups_, groups_;
  std::vector<float> factors_;  ///< by group: what its start scale is multiplied by
  std::vector<std::uint8_t> kept_codes_;
  std::vector<codec::GroupParams> kept_groups_;
};

}  // namespace strata::quantize
