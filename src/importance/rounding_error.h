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

/// Of a matrix D (rows, cols).
struct ColumnProducts {
  std::vector<double> squares;           ///< (cols): sum over rows r of D[r, j]^2
  std::vector<double> weighted_squares;  ///< (cols): the same of weight[r] D[r, j]^2; empty without weights of rows
  std::optional<quantize::Hessian> products;  ///< D^T D, when asked for
};

/// Every sampled_step-th row of a large matrix; a matrix of a million weights as it is. Their relative error is that of
/// the whole within a percent, and models of billions of weights are scored under every codec in minutes.
std::size_t sampled_step(const MatrixView& weights);
MatrixView sampled_rows(MatrixView weights);

/// What is summed besides the squares.
struct ProductsWanted {
  bool products = false;                         ///< D^T D
  std::span<const double> weights_of_rows = {};  ///< (rows); empty: none
};

/// Of D = W - W', what rounding to nearest loses; and of W itself, without a codec. importance: (cols) of the search
/// for scales. tensor_scale: of codec::tensor_scale. Memory: with products, (cols, cols) f32 and some thousand rows.
ColumnProducts rounding_error(const codec::Codec& codec, const MatrixView& weights, std::span<const float> importance,
                              codec::ScaleFit fit, float tensor_scale, const ProductsWanted& wanted);
ColumnProducts column_products(const MatrixView& weights, const ProductsWanted& wanted);

/// By part of the calibration set, the sum over columns of weight and square. weights: by part, (cols).
std::vector<double> weighed(std::span<const std::vector<double>> weights, const std::vector<double>& squares);

}  // namespace strata::importance
