// The variants of the row kernels in order of preference, and the choice among them.
// Not for the files of one instruction set, which keep to plain headers.
#pragma once
#include <span>

#include "codec/codec.h"
#include "codec/variant.h"

namespace strata::codec {

/// Every variant that was compiled, fastest first; portable is the last. Ask isa_runs_here(variant->isa) before use.
std::span<const Variant* const> variants();
/// The fastest variant that an instruction set can run.
const Variant& variant_of(Isa isa);
/// The variant of selected_isa().
const Variant& selected_variant();

/// y[t * y_stride + r] = the product of row `row` + r of a stored linear with x[t], for r < rows, read straight from
/// its bytes. x.cols are the linear's.
void multiply_rows(const Variant& variant, const Stored& in, std::size_t row, std::size_t rows, FewRows x, float* y,
                   std::size_t y_stride);

/// The same for one token of 8 bits, x.cols a multiple of kByteBlock: y[r]. False, with nothing done, where the variant
/// has no kernel for it, which the codec and the number of columns decide.
bool multiply_rows(const Variant& variant, const Stored& in, std::size_t row, std::size_t rows, const ByteRow& x,
                   float* y);

}  // namespace strata::codec
