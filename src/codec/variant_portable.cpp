// The row kernels in plain C++, for any CPU.
// Sixteen lanes in arrays, which a compiler turns into whatever vectors the target has.
#include "codec/ggml/levels_inl.h"
#include "codec/ggml/points_inl.h"
#include "codec/ggml/unpack_grids_inl.h"
#include "codec/lanes_portable.h"
#include "codec/rows_inl.h"
#include "codec/search_inl.h"
#include "codec/variant_inl.h"

namespace strata::codec {

const Variant kVariantPortable = make_variant("portable");

}  // namespace strata::codec
