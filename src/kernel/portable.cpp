// The kernels for any processor: vectors of four floats by the compiler's vector extension, no fused products.
// The baseline instruction set of the target (SSE2, NEON) comes out of this.
#include <cstring>

#include "core/numbers.h"
#include "kernel/simd_matmul.h"
#include "kernel/simd_ops.h"

namespace strata::kernel {
namespace {

typedef float Floats __attribute__((vector_size(16)));
typedef int Ints __attribute__((vector_size(16)));
typedef unsigned Words __attribute__((vector_size(16)));
typedef double Doubles __attribute__((vector_size(16)));

struct V {
  using F = Floats;
  struct D {
    Doubles low, high;
  };
  static constexpr std::size_t lanes = 4;
  static constexpr std::size_t dot_rows = 2;

  static void opaque(F& v) {
#if defined(__x86_64__)
    asm volatile("" : "+x"(v));
#elif defined(__aarch64__)
    asm volatile("" : "+w"(v));
#else
    asm volatile("" : "+m"(v));
#endif
  }
  static F zero() { return F{}; }
  static F set(float a) { return F{a, a, a, a}; }
  static F load(const float* p) { return load_partial(p, lanes); }
  static F load_partial(const float* p, std::size_t count) {
    F v = zero();
    std::memcpy(&v, p, count * sizeof(float));
    return v;
  }
  static void store(float* p, F v) { std::memcpy(p, &v, sizeof v); }
  static void store_partial(float* p, std::size_t count, F v) { std::memcpy(p, &v, count * sizeof(float)); }

  static F add(F a, F b) { return a + b; }
  static F sub(F a, F b) { return a - b; }
  static F mul(F a, F b) { return a * b; }
  static F div(F a, F b) { return a / b; }
  static F fused(F a, F b, F c) { return a * b + c; }
  static F max(F a, F b) { return a > b ? a : b; }
  static F min(F a, F b) { return a < b ? a : b; }
  static float sum(F v) { return (v[0] + v[2]) + (v[1] + v[3]); }
  static float largest(F v) {
    float best = v[0];
    for (int i = 1; i < 4; ++i) best = v[i] > best ? v[i] : best;
    return best;
  }

  static F power(Ints n) {
    const Ints bits = (n + 127) << 23;
    F v;
    std::memcpy(&v, &bits, sizeof v);
    return v;
  }
  /// In two steps, so that subnormal results and infinity come out; n within [-252, 254].
  static F times_power_of_two(F v, F n) {
    const Ints whole = __builtin_convertvector(n == n ? n : zero(), Ints);
    const Ints half = whole >> 1;
    return v * power(half) * power(whole - half);
  }

  static D zero_double() { return D{}; }
  static void add_widened(F v, D& sum) {
    sum.low += Doubles{static_cast<double>(v[0]), static_cast<double>(v[1])};
    sum.high += Doubles{static_cast<double>(v[2]), static_cast<double>(v[3])};
  }
  static double sum_double(const D& sum) { return (sum.low[0] + sum.low[1]) + (sum.high[0] + sum.high[1]); }

  static F round_bf16(F v) {
    Words bits;
    std::memcpy(&bits, &v, sizeof v);
    const Words rounded = bits + 0x7FFFu + ((bits >> 16) & 1u);
    const Words chosen = (v != v ? bits | 0x400000u : rounded) & 0xFFFF0000u;
    std::memcpy(&v, &chosen, sizeof v);
    return v;
  }
  static void transpose(F (&v)[4]) {
    const F a = __builtin_shufflevector(v[0], v[1], 0, 4, 1, 5), b = __builtin_shufflevector(v[0], v[1], 2, 6, 3, 7);
    const F c = __builtin_shufflevector(v[2], v[3], 0, 4, 1, 5), d = __builtin_shufflevector(v[2], v[3], 2, 6, 3, 7);
    v[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5);
    v[1] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
    v[2] = __builtin_shufflevector(b, d, 0, 1, 4, 5);
    v[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
  }
};

struct LoadF32 {
  static constexpr std::size_t bytes = 4;
  static Floats full(const std::byte* p) { return partial(p, 4); }
  static Floats partial(const std::byte* p, std::size_t count) {
    Floats v{};
    std::memcpy(&v, p, count * bytes);
    return v;
  }
};

template <class Half>
struct LoadHalf {
  static constexpr std::size_t bytes = 2;
  static Floats full(const std::byte* p) { return partial(p, 4); }
  static Floats partial(const std::byte* p, std::size_t count) {
    Half halves[4] = {};
    std::memcpy(halves, p, count * bytes);
    return Floats{to_float(halves[0]), to_float(halves[1]), to_float(halves[2]), to_float(halves[3])};
  }
};

using F32 = MatmulOf<V, LoadF32, LoadHalf<bf16>, LoadHalf<f16>, 4, 1>;
using Bf16 = MatmulOf<V, Rounded<V, LoadF32>, LoadHalf<bf16>, Rounded<V, LoadHalf<f16>>, 4, 1>;

}  // namespace

constinit const MatmulKernel kPortableF32 = F32::kernel;
constinit const MatmulKernel kPortableBf16 = Bf16::kernel;
constinit const RowKernel kPortableRows = RowsOf<V>::kernel;

}  // namespace strata::kernel
