// The row kernels and the search for CPUs with AVX-512.
// Compiled for it whatever the CPU here; core/cpu.h decides whether it may run.
#if defined(__x86_64__)
#include "codec/lanes_avx512.h"
#include "codec/variant_inl.h"

namespace strata::codec {

const Variant kVariantAvx512 = make_variant("avx512", Isa::avx512);

}  // namespace strata::codec
#endif
