// The list of variants, fastest first, and the choice among them.
// avx512bf16 has no kernels of its own here: it uses those of avx512.
#include "codec/variants.h"
#include "core/cpu.h"

namespace strata::codec {
namespace {

struct Entry {
  Isa isa;
  const Variant* variant;
};
constexpr Entry kEntries[] = {
#if defined(__x86_64__)
    {Isa::avx512, &kVariantAvx512},
    {Isa::avx2, &kVariantAvx2},
#endif
    {Isa::portable, &kVariantPortable}};

}  // namespace

std::span<const Variant* const> compiled_variants() {
  static constexpr const Variant* variants[] = {
#if defined(__x86_64__)
    &kVariantAvx512,
    &kVariantAvx2,
#endif
    &kVariantPortable
  };
  return variants;
}

bool runs_here(const Variant& variant) {
  for (const Entry& entry : kEntries)
    if (entry.variant == &variant) return isa_runs_here(entry.isa);
  return false;
}

const Variant& selected_variant() {
  static const Variant& chosen = []() -> const Variant& {
    const Isa isa = selected_isa();
    for (const Entry& entry : kEntries)
      if (entry.isa <= isa) return *entry.variant;
    return kVariantPortable;
  }();
  return chosen;
}

}  // namespace strata::codec
