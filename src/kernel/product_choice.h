// Which variant multiplies matrices in bf16 on this machine. A dot product of bf16 pairs is one instruction on some
// processors and several slow steps on others, which an instruction set's name does not tell: so it is measured.
#pragma once
#include <vector>

#include "kernel/variant.h"

namespace strata::kernel {

struct ProductSpeed {
  const Variant* variant;
  double gflops;  ///< of a product in bf16 on one thread, the best of several
};

/// The variants that may be chosen here, with how fast they multiply in bf16: the instruction set's own first, then
/// those before it that differ in nothing else. Takes about `seconds` of this thread.
std::vector<ProductSpeed> product_speeds(double seconds);

/// The first that none is faster than by more than measurements differ: a tie must not be decided by chance, since sums
/// of variants differ in their last bits.
const Variant& fastest(const std::vector<ProductSpeed>& speeds);

}  // namespace strata::kernel
