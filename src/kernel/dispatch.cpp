// The list of variants, and the choice among them.
// Instruction sets of other processors are left out at compile time.
#include "kernel/dispatch.h"

#include <array>

#include "core/error.h"

namespace strata::kernel {
namespace {
constexpr Variant kVariantPortable = {"portable", Isa::portable, kPortableF32, kPortableBf16, kPortableRows};
#if defined(__x86_64__)
constexpr Variant kVariantAvx2 = {"avx2", Isa::avx2, kAvx2F32, kAvx2Bf16, kAvx2Rows};
constexpr Variant kVariantAvx512 = {"avx512", Isa::avx512, kAvx512F32, kAvx512Bf16, kAvx512Rows};
constexpr Variant kVariantAvx512Bf16 = {"avx512bf16", Isa::avx512bf16, kAvx512F32, kAvx512Bf16Bf16, kAvx512Rows};
constexpr std::array kVariants = {&kVariantAvx512Bf16, &kVariantAvx512, &kVariantAvx2, &kVariantPortable};
#else
constexpr std::array kVariants = {&kVariantPortable};
#endif
}  // namespace

std::span<const Variant* const> variants() { return kVariants; }

const Variant& selected_variant() {
  static const Variant* const chosen = [] {
    const Isa isa = selected_isa();
    for (const Variant* variant : kVariants)
      if (variant->isa <= isa) return variant;
    STRATA_CHECK(false, "no kernels for {}", isa_name(isa));
    return kVariants.back();
  }();
  return *chosen;
}

}  // namespace strata::kernel
