// Rows of activations rounded as a runtime rounds them before it multiplies, and what a fixed scale is made of.
#pragma once
#include <cstddef>

#include "codec/activations.h"

namespace strata::kernel {

/// out (tokens, size) = x (tokens, size), each row by codec::round_activations; out may be x. Runs on all threads.
void round_rows(const codec::ActivationRounding& rounding, const float* x, std::size_t tokens, std::size_t size,
                float* out);

/// The largest magnitude of `count` values; NaN counts as none.
float largest_magnitude(const float* values, std::size_t count);

}  // namespace strata::kernel
