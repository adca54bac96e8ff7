// Products with a row of 8 bits for CPUs with AVX-512 and its sums of four products of bytes (vpdpbusd, VNNI), which
// all have that multiply bf16.
#if defined(__x86_64__)
#include "codec/byte_dots_inl.h"

namespace strata::codec {

const ByteKernels kByteKernelsAvx512bf16 = make_byte_kernels();

}  // namespace strata::codec
#endif
