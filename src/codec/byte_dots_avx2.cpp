// Products with a row of 8 bits for CPUs with AVX2: codes are multiplied in pairs (vpmaddubsw) and pairs added
// (vpmaddwd).
#if defined(__x86_64__)
#include "codec/byte_dots_inl.h"

namespace strata::codec {

const ByteKernels kByteKernelsAvx2 = make_byte_kernels();

}  // namespace strata::codec
#endif
