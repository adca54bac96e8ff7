// Rows multiplied by one of the factors of model::Scales.
#pragma once
#include <cstddef>

namespace strata::engine {

/// x[i] *= factor for `count` floats, on all threads; a factor of 1 does nothing.
void scale(float* x, std::size_t count, float factor);

}  // namespace strata::engine
