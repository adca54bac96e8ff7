// AVX-512 kernels: tiles of 14 tokens x 32 rows hold 28 of the 32 registers; each k costs 28 fused products,
// 14 broadcasts and 2 loads, so that the product units are the limit.
#include "kernel/simd_matmul.h"
#include "kernel/simd_ops.h"
#include "kernel/vector_avx512.h"

namespace strata::kernel {
namespace {
using F32 = MatmulOf<V, LoadF32, LoadBf16, LoadF16, 14, 1>;
using Bf16 = MatmulOf<V, Rounded<V, LoadF32>, LoadBf16, Rounded<V, LoadF16>, 14, 1>;
}  // namespace

constinit const MatmulKernel kAvx512F32 = F32::kernel;
constinit const MatmulKernel kAvx512Bf16 = Bf16::kernel;
constinit const RowKernel kAvx512Rows = RowsOf<V>::kernel;

}  // namespace strata::kernel
