// The list of tables.
// Instruction sets of other processors are left out at compile time.
#include "kernel/dispatch.h"

#include <array>

#include "core/error.h"

namespace strata::kernel {
namespace {
constexpr Table kPortable = {"portable", Isa::portable, portable_f32, portable_bf16, portable_rows};
#if defined(__x86_64__)
constexpr Table kAvx2 = {"avx2", Isa::avx2, avx2_f32, avx2_bf16, avx2_rows};
constexpr Table kAvx512 = {"avx512", Isa::avx512, avx512_f32, avx512_bf16, avx512_rows};
constexpr Table kAvx512Bf16 = {"avx512bf16", Isa::avx512bf16, avx512_f32, avx512bf16_bf16, avx512_rows};
constexpr std::array kTables = {&kAvx512Bf16, &kAvx512, &kAvx2, &kPortable};
#else
constexpr std::array kTables = {&kPortable};
#endif
}  // namespace

std::span<const Table* const> tables() { return kTables; }

const Table& selected_table() {
  static const Table* const chosen = [] {
    const Isa isa = selected_isa();
    for (const Table* table : kTables)
      if (table->isa <= isa) return table;
    STRATA_CHECK(false, "no kernels for {}", isa_name(isa));
    return kTables.back();
  }();
  return *chosen;
}

}  // namespace strata::kernel
