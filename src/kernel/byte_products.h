// Products of one token with stored weights where the token may be rounded to 8 bits: twice as fast as matmul, and not
// for measuring.
#pragma once
#include "kernel/dispatch.h"

namespace strata::kernel {

/// y (rows) = x times the weights, x (cols) rounded to 8 bits in blocks of 32 as codec/byte_row.h says. False, with
/// nothing done, where the weights' codec or this CPU have no kernel for it. Runs on all threads; the result does not
/// depend on their number.
bool multiply_in_bytes(const Variant& variant, const float* x, const Weights& w, float* y);
bool multiply_in_bytes(const float* x, const Weights& w, float* y);

}  // namespace strata::kernel
