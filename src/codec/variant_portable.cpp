// The row kernels in plain C++, for any CPU.
// Sixteen lanes in arrays, which a compiler turns into whatever vectors the target has.
#include "codec/lanes_portable.h"
#include "codec/rows_inl.h"
#include "codec/variants.h"

namespace strata::codec {

const Variant kVariantPortable = {"portable", widen_bf16,  group_ranges, round_int, round_e4m3, round_e2m1,
                                  values_int, values_e4m3, values_e2m1,  pack_bits, unpack_bits};

}  // namespace strata::codec
