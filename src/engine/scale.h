// Small operations on rows: factors, caps, and the columns of a matrix that holds several.
#pragma once
#include <cstddef>

namespace strata::engine {

/// x[i] *= factor for `count` floats, on all threads; a factor of 1 does nothing.
void scale(float* x, std::size_t count, float factor);

/// x[i] = limit tanh(x[i] / limit); a limit of 0 changes nothing.
void cap(float* x, std::size_t count, float limit);

/// to (rows, count) = the columns [first, first + count) of from (rows, width).
void take_columns(const float* from, std::size_t rows, std::size_t width, std::size_t first, std::size_t count,
                  float* to);
/// The columns [first, first + count) of to (rows, width) = from (rows, count).
void put_columns(const float* from, std::size_t rows, std::size_t width, std::size_t first, std::size_t count,
                 float* to);

}  // namespace strata::engine
