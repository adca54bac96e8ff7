// AVX2 kernels: tiles of 6 tokens x 16 rows hold 12 of the 16 registers; each k costs 12 fused products, 6 broadcasts
// and 2 loads, so that the product units and the load ports are busy alike.
#include "kernel/simd_matmul.h"
#include "kernel/simd_ops.h"
#include "kernel/vector_avx2.h"

namespace strata::kernel {
namespace {
using F32 = MatmulOf<V, LoadF32, LoadBf16, LoadF16, 6, 1>;
using Bf16 = MatmulOf<V, Rounded<V, LoadF32>, LoadBf16, Rounded<V, LoadF16>, 6, 1>;
}  // namespace

constinit const MatmulKernel kAvx2F32 = F32::kernel;
constinit const MatmulKernel kAvx2Bf16 = Bf16::kernel;
constinit const RowKernel kAvx2Rows = RowsOf<V>::kernel;

}  // namespace strata::kernel
