// The row kernels and the search for CPUs with AVX2.
// Compiled for it whatever the CPU here; core/cpu.h decides whether it may run.
#if defined(__x86_64__)
#include "codec/lanes_avx2.h"
#include "codec/variant_inl.h"

namespace strata::codec {

const Variant kVariantAvx2 = make_variant("avx2", Isa::avx2, &kByteKernelsAvx2);

}  // namespace strata::codec
#endif
