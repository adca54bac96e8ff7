// The row kernels and the search for CPUs with AVX-512. Those that multiply bf16 have other products of bytes alone.
// Compiled for it whatever the CPU here; core/cpu.h decides whether it may run.
#if defined(__x86_64__)
#include "codec/lanes_avx512.h"
#include "codec/variant_inl.h"

namespace strata::codec {

const Variant kVariantAvx512 = make_variant("avx512", Isa::avx512, &kByteKernelsAvx2);
const Variant kVariantAvx512bf16 = make_variant("avx512bf16", Isa::avx512bf16, &kByteKernelsAvx512bf16);

}  // namespace strata::codec
#endif
