// How fast the products of calibrated rounding are on this machine: for `strata bench`.
#pragma once
#include <vector>

#include "kernel/peaks.h"

namespace strata::quantize {

/// Sums of outer products, factorization, and the feedback of earlier columns, at the widths of SmolLM2 and of an 8B
/// Llama; `seconds` for each. Only what the mathematics needs counts as work: half of H, a third of n^3, half of rows x
/// n^2. All are judged by the f32 peak, so bf16 products may pass 100 %.
std::vector<kernel::KernelFigure> measure_rounding(double seconds);

}  // namespace strata::quantize
