// What rounding does to a linear, reduced to sums over its rows: all that a quadratic error of it depends on.
// Summed once a codec, read by every signal of linears.
#pragma once
#include <optional>
#include <span>
#include <vector>

#include "codec/codec.h"
#include "core/matrix.h"
#include "quantize/hessian.h"

namespace strata::importance {

/// Sums over the rows of a matrix D (rows, cols).
struct ColumnProducts {
  std::vector<double> squares;                ///< (cols): sum over rows r of D[r, j]^2
  std::vector<double> weighted_squares;       ///< (cols): sum of weight[r] D[r, j]^2; empty without weights of rows
  std::optional<quantize::Hessian> products;  ///< D^T D, when asked for
};

/// The distance between the rows of a large matrix that sampled_rows takes; 1 for a matrix of up to 128 rows, or
/// 131,071 weights.
std::size_t sampled_step(const MatrixView& weights);
/// Every sampled_step-th row, so that models of billions of weights are scored under every codec in minutes. The error
/// of a codec with groups is that of the whole within a few percent; one scale a row makes it depend on few rows.
MatrixView sampled_rows(MatrixView weights);

/// The sampled rows of a linear, and what makes sums over them those over all its rows.
struct RowSample {
  /// weights_of_rows: a weight for every row, or none.
  RowSample(const MatrixView& linear, std::span<const double> weights_of_rows);

  MatrixView rows;
  std::vector<double> weights;  ///< of the sampled rows; empty without weights of rows
  double all_rows;              ///< the linear's rows for each that is sampled
  double all_weights;           ///< all weights over those of the sampled rows, since a few rows can hold most of them
};

/// What is to be summed besides the squares.
struct ProductsWanted {
  bool products = false;                         ///< whether D^T D is wanted
  std::span<const double> weights_of_rows = {};  ///< (rows): asks for weighted squares; empty when none are wanted
};

/// The sums of D = W - W', which is what rounding W to nearest loses. importance: (cols), for the search for scales;
/// tensor_scale: from codec::tensor_scale. Memory: with products, (cols, cols) f32 and two thousand rows.
ColumnProducts rounding_error(const codec::Codec& codec, const MatrixView& weights, std::span<const float> importance,
                              codec::ScaleFit fit, float tensor_scale, const ProductsWanted& wanted);
/// The sums of a linear that loses nothing: all 0.
ColumnProducts no_error(std::size_t cols, const ProductsWanted& wanted);
/// The sums of the weights themselves.
ColumnProducts column_products(const MatrixView& weights, const ProductsWanted& wanted);

/// error += the squares of `energy`, each column times its share: errors that are uncorrelated between columns.
void add_shares(const ColumnProducts& energy, std::span<const double> shares, ColumnProducts& error);

/// The sum over columns of weight * square for every part of the calibration set. weights: by part, (cols).
std::vector<double> weighed(std::span<const std::vector<double>> weights, const std::vector<double>& squares);

}  // namespace strata::importance
