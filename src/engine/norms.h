// Norms of rows of the hidden size by the Architecture's kind of norm, and their gradients.
#pragma once
#include <cstddef>

#include "model/architecture.h"

namespace strata::engine {

/// y (rows, hidden) = the norm of x with `weights` (hidden), behind which its biases (hidden) stand if it has any; y
/// may be x.
void norm_rows(const model::Architecture& architecture, const float* x, const float* weights, std::size_t rows,
               float* y);
/// The gradient by x from dy, that by y; dx (rows, hidden) may be dy.
void norm_rows_gradient(const model::Architecture& architecture, const float* x, const float* weights, const float* dy,
                        std::size_t rows, float* dx);
/// The gradient by the weights, added to dweights (hidden), and that by the biases behind them if there are any.
void norm_rows_weight_gradient(const model::Architecture& architecture, const float* x, const float* dy,
                               std::size_t rows, float* dweights);

}  // namespace strata::engine
