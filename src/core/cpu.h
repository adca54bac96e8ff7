// What this machine's CPU can do, and the instruction set that kernels are to use.
// STRATA_ISA=portable|avx2|avx512|avx512bf16|amx overrides the choice; an unknown or unsupported name is an error.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "core/isa.h"

namespace strata {

std::string_view isa_name(Isa isa);

/// True when this CPU (and operating system) can run `isa`, and it is compiled in: amx needs a compiler that knows it.
bool isa_runs_here(Isa isa);

/// The best that runs here, or the one STRATA_ISA asks for. Throws Error for a name that is unknown or cannot run.
Isa selected_isa();
/// Whether STRATA_ISA names one.
bool isa_is_forced();

/// CPU model name as the system reports it, or "unknown".
std::string cpu_model_name();

/// Bytes of memory that this process may use: the machine's, or the limit of its container where that is less.
std::uint64_t physical_memory_bytes();

/// Largest resident memory of this process so far, in bytes.
std::uint64_t peak_resident_bytes();

}  // namespace strata
