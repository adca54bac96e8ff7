// The variants of the row kernels in order of preference, and the choice among them.
// Not for the files of one instruction set, which keep to plain headers.
#pragma once
#include <span>

#include "codec/variant.h"

namespace strata::codec {

/// Every variant that was compiled, fastest first; portable is the last. Ask isa_runs_here(variant->isa) before use.
std::span<const Variant* const> variants();
/// The variant of selected_isa().
const Variant& selected_variant();

}  // namespace strata::codec
