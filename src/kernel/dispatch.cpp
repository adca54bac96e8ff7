// The list of variants, and the choice among them.
// Instruction sets of other processors are left out at compile time, and AMX where the compiler does not know it.
#include "kernel/dispatch.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "kernel/product_choice.h"

namespace strata::kernel {
namespace {
constexpr Variant kVariantPortable = {"portable", Isa::portable, kPortableF32, kPortableBf16, kPortableRows};
#if defined(__x86_64__)
constexpr Variant kVariantAvx2 = {"avx2", Isa::avx2, kAvx2F32, kAvx2Bf16, kAvx2Rows};
constexpr Variant kVariantAvx512 = {"avx512", Isa::avx512, kAvx512F32, kAvx512Bf16, kAvx512Rows};
constexpr Variant kVariantAvx512Bf16 = {"avx512bf16", Isa::avx512bf16, kAvx512F32, kAvx512Bf16Bf16, kAvx512Rows};
#if defined(STRATA_AMX)
constexpr Variant kVariantAmx = {"amx", Isa::amx, kAvx512F32, kAmxBf16, kAvx512Rows};
#endif
constexpr std::array kVariants = {
#if defined(STRATA_AMX)
    &kVariantAmx,
#endif
    &kVariantAvx512Bf16, &kVariantAvx512, &kVariantAvx2, &kVariantPortable};
#else
constexpr std::array kVariants = {&kVariantPortable};
#endif

constexpr double kSecondsToChoose = 0.005;

const Variant& chosen() {
  const auto best = [](const Variant* variant) { return variant->isa <= selected_isa(); };
  if (isa_is_forced()) return **std::ranges::find_if(kVariants, best);  // portable runs everywhere
  static const Variant& measured = fastest(product_speeds(kSecondsToChoose));
  return measured;
}

std::atomic<const Variant*> kept = nullptr;

}  // namespace

std::span<const Variant* const> variants() { return kVariants; }

const Variant& selected_variant() {
  const Variant* variant = kept.load(std::memory_order_relaxed);
  if (variant == nullptr) {
    variant = &chosen();
    kept.store(variant, std::memory_order_relaxed);
  }
  return *variant;
}

void keep_variant(std::string_view name) {
  const auto it = std::ranges::find(kVariants, name, &Variant::name);
  if (it != kVariants.end() && isa_runs_here((*it)->isa) && !isa_is_forced()) kept = *it;
}

void keep_variant(const Ranks& ranks) {
  if (!ranks.many()) return;
  std::string name(selected_variant().name);
  ranks.broadcast(name);
  keep_variant(name);
  if (selected_variant().name != name)
    fail(
        "the first rank computes with {} and this one with {}, whose sums differ; set STRATA_ISA to one that runs on "
        "all "
        "hosts, and have mpirun pass it on (-x STRATA_ISA)",
        name, selected_variant().name);
}

}  // namespace strata::kernel
