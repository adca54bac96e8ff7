// The variants by name, each defined in the file of its instruction set.
#pragma once
#include "codec/variant.h"

namespace strata::codec {

extern const Variant kVariantPortable, kVariantAvx2, kVariantAvx512;

}  // namespace strata::codec
