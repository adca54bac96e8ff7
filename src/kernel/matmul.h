// Matrix products of activations with the weights of a linear, dense or stored in a codec.
// One interface; the variant for this CPU is chosen at run time (core/cpu.h).
#pragma once
#include <cstddef>

#include "codec/codec.h"
#include "core/matrix.h"

namespace strata::kernel {

/// Tokens up to which weights are multiplied where they lie, without packing.
inline constexpr std::size_t kFewTokens = 16;

enum class Precision {
  f32,   ///< activations and weights in f32, sums in f32
  bf16,  ///< activations and weights rounded to bf16, sums in f32. Weights that are stored in a codec and multiplied by
         ///< at most kFewTokens tokens are read straight from their bytes, and then nothing is rounded
};

/// The weights of a linear, (rows, cols) = (out, in): a dense view, or a stored linear that is decoded on the fly.
/// Does not own.
struct Weights {
  MatrixView dense;  ///< used when `stored` is null
  const codec::Stored* stored = nullptr;
  std::size_t rows() const { return stored ? stored->rows : dense.rows; }
  std::size_t cols() const { return stored ? stored->cols : dense.cols; }
};
/// One row as f32, decoded where it is stored in a codec.
void read_row(const Weights& weights, std::size_t row, float* out);

/// y[t, r] = sum_c x[t, c] * w[r, c] for t < tokens; x (tokens, cols) with rows x_stride floats apart, y (tokens, rows)
/// with rows y_stride floats apart. Runs on all threads (core/threads.h); the result does not depend on their number.
void matmul(const float* x, std::size_t x_stride, std::size_t tokens, const Weights& w, float* y, std::size_t y_stride,
            Precision precision);

/// The portable definition that every variant is tested against: sums in double, one rounding at the end.
void matmul_reference(const float* x, std::size_t x_stride, std::size_t tokens, const Weights& w, float* y,
                      std::size_t y_stride, Precision precision);

}  // namespace strata::kernel
