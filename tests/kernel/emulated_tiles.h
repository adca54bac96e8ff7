// The tiles of AMX in plain C++, as the Intel 64 and IA-32 Architectures Software Developer's Manual defines LDTILECFG,
// TILELOADD, TILESTORED, TILEZERO and TDPBF16PS, and a variant that multiplies in bf16 with them on any processor.
#pragma once
#include <array>
#include <bit>
#include <cmath>
#include <stdexcept>

#include "kernel/fixtures.h"
#include "kernel/simd_matmul.h"
#include "kernel/simd_tiles.h"

namespace strata::kernel {

/// Subnormal numbers are zero, as operands and as results; the mode of the processor does not matter.
inline float without_subnormals(float v) { return std::fpclassify(v) == FP_SUBNORMAL ? std::copysign(0.0f, v) : v; }

/// One product added to a sum of f32, rounded once.
inline float fused_flushed(float a, float b, float sum) {
  return without_subnormals(std::fma(without_subnormals(a), without_subnormals(b), without_subnormals(sum)));
}
inline float add_flushed(float a, float b) { return without_subnormals(without_subnormals(a) + without_subnormals(b)); }

/// The elements of a pair: the even one lies first, in the low half.
inline float even_of(std::uint32_t pair) { return std::bit_cast<float>(pair << 16); }
inline float odd_of(std::uint32_t pair) { return std::bit_cast<float>(pair & 0xFFFF0000u); }

/// The tiles of this thread. Using one that is not configured is an error of the program, as it is on a processor.
struct EmulatedTiles {
  using Words = std::array<std::array<std::uint32_t, 16>, 16>;
  struct State {
    TileConfig config{};
    std::array<Words, 8> tiles{};
  };
  static State& state() {
    thread_local State own;
    return own;
  }
  struct Tile {
    Words& words;
    std::size_t rows, columns;
  };
  static Tile tile(int t) {
    State& own = state();
    if (own.config.palette == 0) throw std::logic_error("a tile is used that is not configured");
    return {own.tiles[t], own.config.rows[t], own.config.row_bytes[t] / 4u};
  }

  static void configure(const TileConfig& config) { state() = {config, {}}; }
  static void release() { state() = {}; }
  template <int T>
  static void zero() {
    tile(T).words = {};
  }
  template <int T>
  static void load(const float* p, std::size_t stride) {
    const Tile t = tile(T);
    t.words = {};
    for (std::size_t r = 0; r < t.rows; ++r) std::memcpy(t.words[r].data(), p + r * stride, t.columns * 4);
  }
  template <int T>
  static void store(float* p, std::size_t stride) {
    const Tile t = tile(T);
    for (std::size_t r = 0; r < t.rows; ++r) std::memcpy(p + r * stride, t.words[r].data(), t.columns * 4);
  }
  template <int C, int A, int B>
  static void multiply() {
    const Tile c = tile(C), a = tile(A), b = tile(B);
    if (a.columns != b.rows || c.rows != a.rows || c.columns != b.columns) throw std::logic_error("shapes of tiles");
    for (std::size_t m = 0; m < c.rows; ++m) {
      std::array<float, 16> even{}, odd{};
      for (std::size_t k = 0; k < a.columns; ++k)
        for (std::size_t n = 0; n < c.columns; ++n) {
          even[n] = fused_flushed(even_of(a.words[m][k]), even_of(b.words[k][n]), even[n]);
          odd[n] = fused_flushed(odd_of(a.words[m][k]), odd_of(b.words[k][n]), odd[n]);
        }
      for (std::size_t n = 0; n < c.columns; ++n) {
        std::uint32_t& sum = c.words[m][n];
        sum = std::bit_cast<std::uint32_t>(add_flushed(std::bit_cast<float>(sum), add_flushed(even[n], odd[n])));
      }
    }
  }
};

/// Vectors of 16 pairs (or of as many floats) in plain C++, with the products of VDPBF16PS.
struct EmulatedPairs {
  using F = std::array<float, 16>;
  static constexpr std::size_t lanes = 16, dot_rows = 4;

  static void opaque(F&) {}
  static F zero() { return {}; }
  static F set(float a) {
    F v;
    v.fill(a);
    return v;
  }
  static F load(const float* p) { return load_partial(p, lanes); }
  static F load_partial(const float* p, std::size_t count) {
    F v{};
    std::memcpy(v.data(), p, count * sizeof(float));
    return v;
  }
  static void store(float* p, const F& v) { store_partial(p, lanes, v); }
  static void store_partial(float* p, std::size_t count, const F& v) {
    std::memcpy(p, v.data(), count * sizeof(float));
  }
  static F add(F a, const F& b) {
    for (std::size_t i = 0; i < lanes; ++i) a[i] += b[i];
    return a;
  }
  static F fused(const F& a, const F& b, F c) {
    for (std::size_t i = 0; i < lanes; ++i) {
      const auto x = std::bit_cast<std::uint32_t>(a[i]), y = std::bit_cast<std::uint32_t>(b[i]);
      c[i] = fused_flushed(even_of(x), even_of(y), fused_flushed(odd_of(x), odd_of(y), c[i]));
    }
    return c;
  }
  static float sum(const F& v) {
    float sum = 0;
    for (const float lane : v) sum += lane;
    return sum;
  }
  static void transpose(F (&v)[16]) {
    for (std::size_t i = 0; i < lanes; ++i)
      for (std::size_t j = 0; j < i; ++j) std::swap(v[i][j], v[j][i]);
  }
};

/// Loads elements of a type as pairs of bf16.
template <DType Type>
struct EmulatedLoad {
  static constexpr std::size_t bytes = Type == DType::f32 ? 4 : 2;
  static std::uint32_t element(const std::byte* p) {
    float value = 0;
    read_row(MatrixView{p, 1, 1, Type, bytes}, 0, 0, 1, &value);
    return to_bf16(value).bits;
  }
  static EmulatedPairs::F full(const std::byte* p) { return partial(p, 32); }
  static EmulatedPairs::F partial(const std::byte* p, std::size_t count) {
    EmulatedPairs::F v{};
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint32_t before = std::bit_cast<std::uint32_t>(v[i / 2]);
      v[i / 2] = std::bit_cast<float>(before | element(p + i * bytes) << (i % 2 * 16));
    }
    return v;
  }
  static EmulatedPairs::F pairs(const std::byte* p, const std::byte* q, std::size_t count) {
    EmulatedPairs::F v{};
    for (std::size_t i = 0; i < count; ++i)
      v[i] = std::bit_cast<float>(element(p + i * bytes) | (q == nullptr ? 0 : element(q + i * bytes)) << 16);
    return v;
  }
};

using EmulatedDots =
    MatmulOf<EmulatedPairs, EmulatedLoad<DType::f32>, EmulatedLoad<DType::bf16>, EmulatedLoad<DType::f16>, 14, 2>;
inline constexpr MatmulKernel kEmulatedBf16 =
    TileMatmulOf<EmulatedTiles, EmulatedPairs, EmulatedLoad<DType::f32>, EmulatedDots>::kernel;
inline constexpr Variant kEmulatedAmx = {"amx in emulation", Isa::portable, kPortableF32, kEmulatedBf16, kPortableRows};

/// The variants whose products are tested: those that run here, and AMX in emulation.
inline std::vector<const Variant*> multiplying() {
  std::vector<const Variant*> all = runnable();
  all.push_back(&kEmulatedAmx);
  return all;
}

}  // namespace strata::kernel
