// Rows of activations rounded as a runtime rounds them before it multiplies, and what a fixed scale is made of; rows
// that are kept in bf16, and differences of rows.
#pragma once
#include <cstddef>

#include "codec/activations.h"
#include "core/numbers.h"

namespace strata::kernel {

/// out (tokens, size) = x (tokens, size), each row by codec::round_activations; out may be x. Runs on all threads.
void round_rows(const codec::ActivationRounding& rounding, const float* x, std::size_t tokens, std::size_t size,
                float* out);

/// Values to bf16 and back, on all threads.
void narrow(const float* x, std::size_t count, bf16* out);
void widen(const bf16* x, std::size_t count, float* out);
/// out = a - b, `count` values, on all threads; out may be a or b.
void subtract(const float* a, const float* b, std::size_t count, float* out);

/// Whether no value is an infinity or NaN; on all threads.
bool all_finite(const float* values, std::size_t count);

/// The largest magnitude of `count` values; NaN counts as none.
float largest_magnitude(const float* values, std::size_t count);

}  // namespace strata::kernel
