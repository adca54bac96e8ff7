// The list of variants, and the choice among them.
// amx has no kernels of its own here: it uses those of avx512bf16.
#include <array>

#include "codec/variants.h"
#include "core/cpu.h"
#include "core/error.h"

namespace strata::codec {
namespace {
#if defined(__x86_64__)
constexpr std::array kVariants = {&kVariantAvx512bf16, &kVariantAvx512, &kVariantAvx2, &kVariantPortable};
#else
constexpr std::array kVariants = {&kVariantPortable};
#endif
}  // namespace

std::span<const Variant* const> variants() { return kVariants; }

const Variant& variant_of(Isa isa) {
  for (const Variant* variant : kVariants)
    if (variant->isa <= isa) return *variant;
  STRATA_CHECK(false, "no kernels for {}", isa_name(isa));
  return *kVariants.back();
}

const Variant& selected_variant() {
  static const Variant& chosen = variant_of(selected_isa());
  return chosen;
}

}  // namespace strata::codec
