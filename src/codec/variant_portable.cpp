// The row kernels in plain C++, for any CPU.
// Sixteen lanes in arrays, which a compiler turns into whatever vectors the target has.
#include "codec/lanes_portable.h"
#include "codec/variant_inl.h"

namespace strata::codec {

const Variant kVariantPortable = make_variant("portable", Isa::portable);

}  // namespace strata::codec
