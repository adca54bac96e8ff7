// Matrix products with the tiles of AMX: the rest is that of the bf16 dot-product instruction.
// The compilers' intrinsics are left alone: GCC's take tile numbers only as literals and do not say that they read
// memory.
#include "kernel/pairs_avx512bf16.h"
#include "kernel/simd_matmul.h"
#include "kernel/simd_tiles.h"

namespace strata::kernel {
namespace {

struct Tiles {
  static void configure(const TileConfig& config) { asm volatile("ldtilecfg %0" ::"m"(config)); }
  static void release() { asm volatile("tilerelease"); }
  template <int T>
  static void zero() {
    asm volatile("tilezero %%tmm%c0" ::"i"(T));
  }
  template <int T>
  static void load(const float* p, std::size_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(p), "r"(stride * sizeof(float)), "i"(T) : "memory");
  }
  template <int T>
  static void store(float* p, std::size_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(p), "r"(stride * sizeof(float)), "i"(T) : "memory");
  }
  template <int C, int A, int B>
  static void multiply() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
  }
};

using Bf16 = TileMatmulOf<Tiles, Pairs, PairsF32, MatmulOf<Pairs, PairsF32, PairsBf16, PairsF16, 14, 2>>;
}  // namespace

constinit const MatmulKernel kAmxBf16 = Bf16::kernel;

}  // namespace strata::kernel
