// The weights of a block as the weight signals read them: its linears, with their moments, each alone and pooled.
// Weights that are not finite are refused here, with their place.
#pragma once
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "core/matrix.h"
#include "model/model.h"

namespace strata::importance {

/// Moments of a set of weights; the sums are in double.
struct WeightMoments {
  double count = 0.0, mean = 0.0;
  double deviation = 0.0;  ///< population standard deviation; 0 when all weights are equal
  double mean_magnitude = 0.0, max_magnitude = 0.0;
};

/// The dense weights of a linear: a view into the mapped file, or decoded ones when it is stored in a codec.
class DenseLinear {
 public:
  DenseLinear(const model::Model& model, const model::Linear& linear);
  const MatrixView& view() const { return view_; }
  float absmax() const { return absmax_; }

 private:
  model::LinearWeights held_;
  std::vector<float> decoded_;
  MatrixView view_;
  float absmax_ = 0.0f;
};

/// The linears of a block. Throws Error "PATH: NAME: weight [r, c] is nan" for a weight that is not finite.
class BlockWeights {
 public:
  BlockWeights(const model::Model& model, std::size_t block);

  std::size_t block() const { return block_; }
  std::size_t size() const { return linears_.size(); }
  const WeightMoments& moments(std::size_t i) const { return moments_[i]; }
  const WeightMoments& pooled() const { return pooled_; }  ///< of all linears taken together

  /// Sum of term(row's weights) over the rows of linear i, in a fixed order; rows are spread over the threads.
  double sum_rows(std::size_t i, const std::function<double(std::span<const float>)>& term) const;
  /// Weights of linear i with |w - mean| > deviation.
  double count_beyond(std::size_t i, const WeightMoments& moments) const;

 private:
  const model::Model& model_;
  std::size_t block_;
  std::span<const model::Linear> linears_;
  std::vector<std::optional<DenseLinear>> kept_;  ///< all but the experts', which are read again when they are needed
  std::vector<WeightMoments> moments_;
  WeightMoments pooled_;
};

/// Sum of term(row's weights) over the rows of a matrix: rows are added up in stretches of fixed size on all threads,
/// the stretches in order.
double sum_over_rows(const MatrixView& matrix, const std::function<double(std::span<const float>)>& term);

}  // namespace strata::importance
