// The instruction sets that kernels are written for.
// Plain on purpose: files that are compiled for one instruction set include it; core/cpu.h says what runs here.
#pragma once

namespace strata {

/// Instruction sets in rising order; each includes those before it.
enum class Isa { portable, avx2, avx512, avx512bf16, amx };

}  // namespace strata
