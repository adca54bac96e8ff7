// Matrix products with the bf16 dot-product instruction: a unit is a pair of neighbouring k's, and a tile of 14 tokens
// x 32 rows does 64 products an instruction.
#include "kernel/pairs_avx512bf16.h"
#include "kernel/simd_matmul.h"

namespace strata::kernel {
namespace {
using Bf16 = MatmulOf<Pairs, PairsF32, PairsBf16, PairsF16, 14, 2>;
}  // namespace

constinit const MatmulKernel kAvx512Bf16Bf16 = Bf16::kernel;

}  // namespace strata::kernel
