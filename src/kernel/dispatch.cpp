// The list of tables.
// Instruction sets of other processors are left out at compile time.
#include "kernel/dispatch.h"

#include <array>

#include "core/error.h"

namespace strata::kernel {
namespace {
#if defined(__x86_64__)
constexpr std::array kTables = {&portable_table};
#else
constexpr std::array kTables = {&portable_table};
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
