// The matrix product kernels of one instruction set and precision, from a vector type V and loaders of the element
// types. BLIS design: the weights of a panel are transposed once so that a vector holds one k of `lanes` rows; a tile
// of tile_tokens x 2 vectors of sums stays in registers while k runs. doi:10.1145/2764454
//
// V: F, lanes, dot_rows; zero set load store load_partial store_partial fused sum transpose.
// Loaders L<type>: bytes (of an element), full(p): `lanes` units; partial(p, count): `count` elements, the rest zero;
// of f32 as pairs also pairs(p, q, count): element i of p and of q side by side, zeros for a null q. Included by ISA
// files only: no std:: templates here.
#pragma once
#include <cstddef>

#include "kernel/variant.h"

namespace strata::kernel {

/// Transposes up to `lanes` rows of k elements: out[u * out_stride + r]. Vectors are stored whole in rising u, so rows
/// beyond out_stride spill into the next unit, which the next store overwrites, and past the end at the last.
template <class V, class Load>
void pack_rows(const std::byte* in, std::size_t stride_bytes, std::size_t rows, std::size_t k, std::size_t unit,
               float* out, std::size_t out_stride) {
  constexpr std::size_t lanes = V::lanes;
  const std::size_t step = lanes * unit;
  for (std::size_t begin = 0; begin < k; begin += step) {
    const std::size_t count = k - begin < step ? k - begin : step;
    const std::byte* p = in + begin * Load::bytes;
    typename V::F v[lanes];
    for (std::size_t r = 0; r < lanes; ++r) {
      if (r >= rows)
        v[r] = V::zero();
      else
        v[r] = count == step ? Load::full(p + r * stride_bytes) : Load::partial(p + r * stride_bytes, count);
    }
    V::transpose(v);
    const std::size_t units = (count + unit - 1) / unit;
    float* o = out + begin / unit * out_stride;
    for (std::size_t u = 0; u < lanes; ++u)
      if (u < units) V::store(o + u * out_stride, v[u]);
  }
}

/// pack_rows for bf16 widened to f32 (one element a unit): neighbours are transposed as pairs, which halves the
/// shuffles, and then split into the vectors of an even and an odd k.
template <class V, class Load>
void pack_split_rows(const std::byte* in, std::size_t stride_bytes, std::size_t rows, std::size_t k, float* out,
                     std::size_t out_stride) {
  constexpr std::size_t lanes = V::lanes, step = 2 * lanes;
  for (std::size_t begin = 0; begin < k; begin += step, in += step * Load::bytes, out += step * out_stride) {
    const std::size_t count = k - begin < step ? k - begin : step;
    typename V::F v[lanes];
    for (std::size_t r = 0; r < lanes; ++r) {
      if (r >= rows)
        v[r] = V::zero();
      else
        v[r] =
            count == step ? Load::full_pairs(in + r * stride_bytes) : Load::partial_pairs(in + r * stride_bytes, count);
    }
    V::transpose(v);
    for (std::size_t u = 0; u < lanes; ++u) {
      if (2 * u < count) V::store(out + 2 * u * out_stride, Load::even(v[u]));
      if (2 * u + 1 < count) V::store(out + (2 * u + 1) * out_stride, Load::odd(v[u]));
    }
  }
}

/// out[r] = or += sum[r] for the r < rows that lie in vector `half` of the two of a tile's row.
template <class V>
[[gnu::always_inline]] inline void update_half(float* out, std::size_t half, std::size_t rows, typename V::F sum,
                                               Update update) {
  out += half * V::lanes;
  if (rows >= (half + 1) * V::lanes) {
    V::store(out, update == Update::add ? V::add(V::load(out), sum) : sum);
  } else if (rows > half * V::lanes) {
    const std::size_t count = rows - half * V::lanes;
    V::store_partial(out, count, update == Update::add ? V::add(V::load_partial(out, count), sum) : sum);
  }
}

template <class V, int M, std::size_t TileTokens>
void tile_of(const float* x, const float* w, std::size_t w_stride, std::size_t units, std::size_t rows, float* y,
             std::size_t y_stride, Update update) {
  typename V::F sum[M][2];
#pragma GCC unroll 16
  for (int t = 0; t < M; ++t) {
    sum[t][0] = V::zero();
    sum[t][1] = V::zero();
    __builtin_prefetch(y + static_cast<std::size_t>(t) * y_stride, 1);
    __builtin_prefetch(y + static_cast<std::size_t>(t) * y_stride + V::lanes, 1);
  }
  for (std::size_t u = 0; u < units; ++u) {
    const typename V::F w0 = V::load(w), w1 = V::load(w + V::lanes);
#pragma GCC unroll 16
    for (int t = 0; t < M; ++t) {
      const typename V::F b = V::set(x[t]);
      sum[t][0] = V::fused(b, w0, sum[t][0]);
      sum[t][1] = V::fused(b, w1, sum[t][1]);
    }
    x += TileTokens;
    w += w_stride;
  }
#pragma GCC unroll 16
  for (int t = 0; t < M; ++t) {
#pragma GCC unroll 2
    for (std::size_t half = 0; half < 2; ++half)
      update_half<V>(y + static_cast<std::size_t>(t) * y_stride, half, rows, sum[t][half], update);
  }
}

/// R weight rows against T prepared rows of x. One sum per pair, so that the result does not depend on R and T.
template <class V, class Load, int R, int T>
void dot_of(const float* x, std::size_t x_stride, const std::byte* w, std::size_t stride_bytes, std::size_t k,
            std::size_t unit, float* y, std::size_t y_stride, Update update) {
  typename V::F sum[R][T];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) sum[r][t] = V::zero();
  const auto step_all = [&](auto&& load) {
    typename V::F row[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) row[r] = load(w + static_cast<std::size_t>(r) * stride_bytes);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      const typename V::F b = V::load(x + static_cast<std::size_t>(t) * x_stride);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) sum[r][t] = V::fused(row[r], b, sum[r][t]);
    }
  };
  const std::size_t step = V::lanes * unit;
  for (; k >= step; k -= step) {
    step_all([](const std::byte* p) { return Load::full(p); });
    w += step * Load::bytes;
    x += V::lanes;
  }
  if (k > 0) step_all([k](const std::byte* p) { return Load::partial(p, k); });
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      float& out = y[static_cast<std::size_t>(t) * y_stride + static_cast<std::size_t>(r)];
      out = update == Update::add ? out + V::sum(sum[r][t]) : V::sum(sum[r][t]);
    }
}

/// One weight row against one prepared row of x, in four sums: rows are read one after the other, a single stream that
/// the processor's prefetching follows from row to row.
template <class V, class Load>
float dot_one(const float* x, const std::byte* w, std::size_t k, std::size_t unit) {
  typename V::F sum[4] = {V::zero(), V::zero(), V::zero(), V::zero()};
  const std::size_t step = V::lanes * unit;
  for (; k >= 4 * step; k -= 4 * step, w += 4 * step * Load::bytes, x += 4 * V::lanes)
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i)
      sum[i] = V::fused(Load::full(w + i * step * Load::bytes), V::load(x + i * V::lanes), sum[i]);
  for (; k >= step; k -= step, w += step * Load::bytes, x += V::lanes)
    sum[0] = V::fused(Load::full(w), V::load(x), sum[0]);
  if (k > 0) sum[0] = V::fused(Load::partial(w, k), V::load(x), sum[0]);
  return V::sum(V::add(V::add(sum[0], sum[1]), V::add(sum[2], sum[3])));
}

/// The functions of a MatmulKernel. F32, Bf16, F16: loaders of the three dense types. Sets Unit elements per unit.
template <class V, class F32, class Bf16, class F16, std::size_t TileTokens, std::size_t Unit>
struct MatmulOf {
  static constexpr std::size_t tile_rows = 2 * V::lanes;

  static void pack_x(const float* x, std::size_t stride, std::size_t tokens, std::size_t k, float* out) {
    pack_rows<V, F32>(reinterpret_cast<const std::byte*>(x), stride * sizeof(float), tokens, k, Unit, out, TileTokens);
  }

  template <class Load>
  static void pack_both(const std::byte* w, std::size_t stride_bytes, std::size_t rows, std::size_t k, float* out) {
    const std::size_t low = rows < V::lanes ? rows : V::lanes;
    if constexpr (requires { &Load::full_pairs; }) {
      pack_split_rows<V, Load>(w, stride_bytes, low, k, out, tile_rows);
      pack_split_rows<V, Load>(w + low * stride_bytes, stride_bytes, rows - low, k, out + V::lanes, tile_rows);
      return;
    }
    pack_rows<V, Load>(w, stride_bytes, low, k, Unit, out, tile_rows);
    pack_rows<V, Load>(w + low * stride_bytes, stride_bytes, rows - low, k, Unit, out + V::lanes, tile_rows);
  }

  static void pack_w(const std::byte* w, std::size_t stride_bytes, DType type, std::size_t rows, std::size_t k,
                     float* out) {
    if (type == DType::bf16)
      pack_both<Bf16>(w, stride_bytes, rows, k, out);
    else if (type == DType::f16)
      pack_both<F16>(w, stride_bytes, rows, k, out);
    else
      pack_both<F32>(w, stride_bytes, rows, k, out);
  }

  static void pack_columns(const float* x, std::size_t stride, std::size_t tokens, std::size_t width, float* out,
                           std::size_t out_stride) {
    for (std::size_t t = 0; t < tokens; t += Unit, x += Unit * stride, out += out_stride) {
      for (std::size_t c = 0; c < width; c += V::lanes) {
        const std::size_t count = width - c < V::lanes ? width - c : V::lanes;
        const auto* const first = reinterpret_cast<const std::byte*>(x + c);
        if constexpr (Unit == 1)
          V::store_partial(out + c, count, F32::partial(first, count));
        else
          V::store_partial(out + c, count,
                           F32::pairs(first, t + 1 < tokens ? first + stride * sizeof(float) : nullptr, count));
      }
      for (std::size_t c = width; c < out_stride; ++c) out[c] = 0.0f;
    }
  }

  template <int M>
  static void tile_from(const float* x, const float* w, std::size_t w_stride, std::size_t units, std::size_t tokens,
                        std::size_t rows, float* y, std::size_t y_stride, Update update) {
    if (tokens == M)
      tile_of<V, M, TileTokens>(x, w, w_stride, units, rows, y, y_stride, update);
    else if constexpr (M > 1)
      tile_from<M - 1>(x, w, w_stride, units, tokens, rows, y, y_stride, update);
  }
  static constexpr auto tile = &tile_from<static_cast<int>(TileTokens)>;

  static void prepare_x(const float* x, std::size_t k, float* out) {
    const std::size_t step = V::lanes * Unit;
    const auto* in = reinterpret_cast<const std::byte*>(x);
    for (; k >= step; k -= step, in += step * F32::bytes, out += V::lanes) V::store(out, F32::full(in));
    if (k > 0) V::store(out, F32::partial(in, k));
  }

  template <class Load, int R>
  static void dot_rows(const float* x, std::size_t x_stride, std::size_t tokens, const std::byte* w,
                       std::size_t stride_bytes, std::size_t k, float* y, std::size_t y_stride, Update update) {
    for (; tokens >= 4; tokens -= 4, x += 4 * x_stride, y += 4 * y_stride)
      dot_of<V, Load, R, 4>(x, x_stride, w, stride_bytes, k, Unit, y, y_stride, update);
    if (tokens == 3) dot_of<V, Load, R, 3>(x, x_stride, w, stride_bytes, k, Unit, y, y_stride, update);
    if (tokens == 2) dot_of<V, Load, R, 2>(x, x_stride, w, stride_bytes, k, Unit, y, y_stride, update);
    if (tokens == 1) dot_of<V, Load, R, 1>(x, x_stride, w, stride_bytes, k, Unit, y, y_stride, update);
  }

  template <class Load>
  static void dot_all(const float* x, std::size_t x_stride, std::size_t tokens, const std::byte* w,
                      std::size_t stride_bytes, std::size_t rows, std::size_t k, float* y, std::size_t y_stride,
                      Update update) {
    // Short rows are read one after the other; of long ones, several share what is loaded of x.
    if (tokens == 1 && k <= 4096) {
      for (std::size_t r = 0; r < rows; ++r) {
        const float sum = dot_one<V, Load>(x, w + r * stride_bytes, k, Unit);
        y[r] = update == Update::add ? y[r] + sum : sum;
      }
      return;
    }
    constexpr std::size_t together = V::dot_rows;
    if (tokens > 4 || stride_bytes >= 4096)
      for (; rows >= together; rows -= together, w += together * stride_bytes, y += together)
        dot_rows<Load, static_cast<int>(together)>(x, x_stride, tokens, w, stride_bytes, k, y, y_stride, update);
    for (; rows > 0; --rows, w += stride_bytes, ++y)
      dot_rows<Load, 1>(x, x_stride, tokens, w, stride_bytes, k, y, y_stride, update);
  }

  static void dot(const float* x, std::size_t x_stride, std::size_t tokens, const std::byte* w,
                  std::size_t stride_bytes, DType type, std::size_t rows, std::size_t k, float* y, std::size_t y_stride,
                  Update update) {
    if (type == DType::bf16)
      dot_all<Bf16>(x, x_stride, tokens, w, stride_bytes, rows, k, y, y_stride, update);
    else if (type == DType::f16)
      dot_all<F16>(x, x_stride, tokens, w, stride_bytes, rows, k, y, y_stride, update);
    else
      dot_all<F32>(x, x_stride, tokens, w, stride_bytes, rows, k, y, y_stride, update);
  }

  static void widen_rows(const std::byte* in, std::size_t stride_bytes, std::size_t rows, std::size_t count, float* out,
                         std::size_t out_stride) {
    for (; rows > 0; --rows, in += stride_bytes, out += out_stride) {
      std::size_t c = 0;
      for (; c + V::lanes <= count; c += V::lanes) V::store(out + c, Bf16::full(in + c * Bf16::bytes));
      if (c < count) V::store_partial(out + c, count - c, Bf16::partial(in + c * Bf16::bytes, count - c));
    }
  }

  static double spin(std::size_t rounds) {
    // Enough independent sums to cover the latency of two product units, few enough to leave registers free.
    typename V::F sum[12];
    typename V::F a = V::set(1.0f), b = V::set(1.0f);
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) {
      sum[i] = V::zero();
      V::opaque(sum[i]);  // or the compiler sees twelve equal sums and computes one
    }
    for (std::size_t round = 0; round < rounds; ++round) {
      V::opaque(a);
      V::opaque(b);
#pragma GCC unroll 12
      for (int i = 0; i < 12; ++i) sum[i] = V::fused(a, b, sum[i]);
    }
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) V::opaque(sum[i]);
    return static_cast<double>(rounds) * 12 * 2 * static_cast<double>(V::lanes * Unit);
  }

  static constexpr MatmulKernel kernel = {.tile_tokens = TileTokens,
                                          .tile_rows = tile_rows,
                                          .unit = Unit,
                                          .lanes = V::lanes,
                                          .block = 1,
                                          .pack_x = &pack_x,
                                          .pack_w = &pack_w,
                                          .pack_columns = &pack_columns,
                                          .pack_x_columns = &pack_columns,
                                          .tile = tile,
                                          .widen_rows = Unit == 1 ? &widen_rows : nullptr,
                                          .prepare_x = &prepare_x,
                                          .dot = &dot,
                                          .spin = &spin,
                                          .begin = nullptr,
                                          .end = nullptr};
};

/// A loader whose values are rounded to bf16 but stay f32: Precision::bf16 without the dot-product instruction.
template <class V, class Load>
struct Rounded {
  static constexpr std::size_t bytes = Load::bytes;
  static typename V::F full(const std::byte* p) { return V::round_bf16(Load::full(p)); }
  static typename V::F partial(const std::byte* p, std::size_t count) { return V::round_bf16(Load::partial(p, count)); }
};

}  // namespace strata::kernel
