// One look at the weights of a linear before they are quantized: the largest magnitude, and that all are finite.
// A NaN or an infinity is named with its place.
#pragma once
#include <string>

#include "core/matrix.h"

namespace strata::quantize {

/// Largest |weight| (0 for an empty matrix). Throws Error "WHERE: NAME: weight [r, c] is nan" for the first weight, in
/// row order, that is not finite. Runs on all threads.
float checked_absmax(const MatrixView& weights, const std::string& where, const std::string& name);

}  // namespace strata::quantize
