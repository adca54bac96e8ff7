// The variants that are compiled in, and the choice among them.
// Not for the files of one instruction set, which keep to plain headers.
#pragma once
#include <span>

#include "codec/variant.h"

namespace strata::codec {

/// Those compiled in, fastest first; "portable" is last and always there.
std::span<const Variant* const> compiled_variants();
/// True when this CPU can run it.
bool runs_here(const Variant&);
/// The one that core/cpu.h's selected_isa() stands for.
const Variant& selected_variant();

}  // namespace strata::codec
