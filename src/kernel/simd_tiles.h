// Matrix products in bf16 by tiles, registers of 16 rows of 16 pairs (AMX; Intel 64 and IA-32 Architectures Software
// Developer's Manual, volume 1, chapter 18). Two tiles of x times two of weights in four of sums: a block of 16 units
// costs four loads and four products. A tile of weights is a panel as it lies; one of x has a token a row, so that x is
// not transposed. Over the type of the tiles, so that tests run all of it anywhere.
//
// Tiles: configure(config), release(); of tile T zero<T>(), load<T>(p, stride), store<T>(p, stride), rows `stride`
// floats apart; multiply<C, A, B>(): C += A B, A with a row of pairs a token, B with one a unit.
// V, F32: as of simd_matmul.h, of pairs. Dots: the MatmulOf with the rest. Included by ISA files only.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernel/simd_matmul.h"

namespace strata::kernel {

/// The shapes of the tiles, as the instruction that sets them reads them.
struct alignas(64) TileConfig {
  std::uint8_t palette, start_row, reserved[14];
  std::uint16_t row_bytes[16];  ///< of tile 0 .. 7; the rest is 0
  std::uint8_t rows[16];
};
inline constexpr TileConfig kFullTiles = {.palette = 1,
                                          .start_row = 0,
                                          .reserved = {},
                                          .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
                                          .rows = {16, 16, 16, 16, 16, 16, 16, 16}};

template <class Tiles, class V, class F32, class Dots>
struct TileMatmulOf {
  static constexpr std::size_t side = 16;         // rows of a tile, and units in a row of it
  static constexpr std::size_t width = 2 * side;  // tokens and rows of a register tile, and elements of a block
  static_assert(V::lanes == side && Dots::tile_rows == width);

  static void begin() { Tiles::configure(kFullTiles); }
  static void end() { Tiles::release(); }

  /// One row of a block of x.
  static void put_units(float* out, std::size_t units, typename V::F v) {
    if (units == side)
      V::store(out, v);
    else
      V::store_partial(out, units, v);
  }

  static void pack_x(const float* x, std::size_t stride, std::size_t tokens, std::size_t k, float* out) {
    for (std::size_t begin = 0; begin < k; begin += width) {
      const std::size_t count = k - begin < width ? k - begin : width, units = (count + 1) / 2;
      for (std::size_t t = 0; t < width; ++t, out += units) {
        typename V::F v = V::zero();
        if (t < tokens) {
          const auto* const p = reinterpret_cast<const std::byte*>(x + t * stride + begin);
          v = count == width ? F32::full(p) : F32::partial(p, count);
        }
        put_units(out, units, v);
      }
    }
  }

  static void pack_x_columns(const float* x, std::size_t stride, std::size_t tokens, std::size_t columns, float* out,
                             std::size_t) {
    for (std::size_t begin = 0; begin < tokens; begin += width, x += width * stride) {
      const std::size_t count = tokens - begin < width ? tokens - begin : width, units = (count + 1) / 2;
      for (std::size_t c = 0; c < width; c += side) {
        const std::size_t present = c >= columns ? 0 : columns - c < side ? columns - c : side;
        typename V::F v[side];
        for (std::size_t u = 0; u < side; ++u) {
          const auto* const p = reinterpret_cast<const std::byte*>(x + 2 * u * stride + c);
          v[u] = V::zero();
          if (u < units && present > 0)
            v[u] = F32::pairs(p, 2 * u + 1 < count ? p + stride * sizeof(float) : nullptr, present);
        }
        V::transpose(v);
        for (std::size_t i = 0; i < side; ++i, out += units) put_units(out, units, v[i]);
      }
    }
  }

  /// Adds the products of one block. Tokens, Rows: whether the second of the two tiles of tokens, or of rows, takes
  /// part.
  template <bool Tokens, bool Rows>
  static void multiply(const float* x, const float* w, std::size_t w_stride) {
    Tiles::template load<4>(x, side);
    Tiles::template load<6>(w, w_stride);
    Tiles::template multiply<0, 4, 6>();
    if constexpr (Rows) {
      Tiles::template load<7>(w + side, w_stride);
      Tiles::template multiply<1, 4, 7>();
    }
    if constexpr (Tokens) {
      Tiles::template load<5>(x + side * side, side);
      Tiles::template multiply<2, 5, 6>();
      if constexpr (Rows) Tiles::template multiply<3, 5, 7>();
    }
  }

  /// The same for the last block, of fewer units: the others are zeros on both sides, whatever lies there.
  template <bool Tokens, bool Rows>
  static void multiply_short(const float* x, const float* w, std::size_t w_stride, std::size_t units) {
    alignas(64) float whole_x[width * side], whole_w[side * width];
    for (std::size_t t = 0; t < width; ++t) V::store(whole_x + t * side, V::load_partial(x + t * units, units));
    for (std::size_t u = 0; u < side; ++u)
      for (std::size_t r = 0; r < width; r += side)
        V::store(whole_w + u * width + r, u < units ? V::load(w + u * w_stride + r) : V::zero());
    multiply<Tokens, Rows>(whole_x, whole_w, width);
  }

  template <bool Tokens, bool Rows>
  static void tile_of(const float* x, const float* w, std::size_t w_stride, std::size_t units, std::size_t tokens,
                      std::size_t rows, float* y, std::size_t y_stride, Update update) {
    for (std::size_t t = 0; t < tokens; ++t) {
      __builtin_prefetch(y + t * y_stride, 1);
      __builtin_prefetch(y + t * y_stride + rows - 1, 1);
    }
    Tiles::template zero<0>();
    Tiles::template zero<1>();
    Tiles::template zero<2>();
    Tiles::template zero<3>();
    for (; units >= side; units -= side, x += side * width, w += side * w_stride)
      multiply<Tokens, Rows>(x, w, w_stride);
    if (units > 0) multiply_short<Tokens, Rows>(x, w, w_stride, units);
    alignas(64) float sums[width * width];
    Tiles::template store<0>(sums, width);
    if constexpr (Rows) Tiles::template store<1>(sums + side, width);
    if constexpr (Tokens) Tiles::template store<2>(sums + side * width, width);
    if constexpr (Tokens && Rows) Tiles::template store<3>(sums + side * width + side, width);
    for (std::size_t t = 0; t < tokens; ++t)
      for (std::size_t half = 0; half < (Rows ? 2 : 1); ++half)
        update_half<V>(y + t * y_stride, half, rows, V::load(sums + t * width + half * side), update);
  }

  static void tile(const float* x, const float* w, std::size_t w_stride, std::size_t units, std::size_t tokens,
                   std::size_t rows, float* y, std::size_t y_stride, Update update) {
    if (tokens > side && rows > side)
      tile_of<true, true>(x, w, w_stride, units, tokens, rows, y, y_stride, update);
    else if (tokens > side)
      tile_of<true, false>(x, w, w_stride, units, tokens, rows, y, y_stride, update);
    else if (rows > side)
      tile_of<false, true>(x, w, w_stride, units, tokens, rows, y, y_stride, update);
    else
      tile_of<false, false>(x, w, w_stride, units, tokens, rows, y, y_stride, update);
  }

  static double spin(std::size_t rounds) {
    alignas(64) float ones[side];
    for (float& pair : ones) {
      constexpr std::uint32_t bits = 0x3F803F80;
      __builtin_memcpy(&pair, &bits, sizeof pair);
    }
    Tiles::template load<4>(ones, 0);
    Tiles::template load<5>(ones, 0);
    Tiles::template load<6>(ones, 0);
    Tiles::template load<7>(ones, 0);
    // A product of tiles takes longer than twelve of vectors: fewer rounds.
    for (std::size_t round = 0; round < rounds; round += 4) {
      Tiles::template multiply<0, 4, 6>();
      Tiles::template multiply<1, 4, 7>();
      Tiles::template multiply<2, 5, 6>();
      Tiles::template multiply<3, 5, 7>();
    }
    return static_cast<double>((rounds + 3) / 4) * 4 * 2 * static_cast<double>(side * side * width);
  }

  static constexpr MatmulKernel kernel = {.tile_tokens = width,
                                          .tile_rows = width,
                                          .unit = 2,
                                          .lanes = V::lanes,
                                          .block = side,
                                          .pack_x = &pack_x,
                                          .pack_w = &Dots::pack_w,
                                          .pack_columns = &Dots::pack_columns,
                                          .pack_x_columns = &pack_x_columns,
                                          .tile = &tile,
                                          .widen_rows = nullptr,
                                          .prepare_x = &Dots::prepare_x,
                                          .dot = &Dots::dot,
                                          .spin = &spin,
                                          .begin = &begin,
                                          .end = &end};
};

}  // namespace strata::kernel
