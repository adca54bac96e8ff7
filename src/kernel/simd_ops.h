// Row operations (exp, tanh, norms, rotary embedding, activations) for one instruction set, from a vector type V.
// exp: Cody-Waite reduction by ln 2 and the degree-6 polynomial of Cephes' expf; about 1 ulp, subnormal results and
// infinities included. Included by ISA files only: no std:: templates here.
#pragma once
#include <cstddef>

#include "kernel/variant.h"

namespace strata::kernel {

/// exp(x) = 2^n (1 + rest), n whole and |rest| < 0.42, for x in [-104, 89] or NaN.
template <class V>
struct Reduced {
  typename V::F n, rest;
};
template <class V>
Reduced<V> reduce(typename V::F x) {
  using F = typename V::F;
  // Adding 1.5 * 2^23 leaves the nearest integer in the low bits.
  const F magic = V::set(12582912.0f);
  const F n = V::sub(V::fused(x, V::set(1.44269504088896341f), magic), magic);
  F r = V::fused(n, V::set(-0.693359375f), x);
  r = V::fused(n, V::set(2.12194440e-4f), r);
  F p = V::set(1.9875691500e-4f);
  p = V::fused(p, r, V::set(1.3981999507e-3f));
  p = V::fused(p, r, V::set(8.3334519073e-3f));
  p = V::fused(p, r, V::set(4.1665795894e-2f));
  p = V::fused(p, r, V::set(1.6666665459e-1f));
  p = V::fused(p, r, V::set(5.0000001201e-1f));
  return {n, V::fused(p, V::mul(r, r), r)};
}

template <class V>
typename V::F exp_of(typename V::F x) {
  // max and min return their second operand when one is NaN.
  const Reduced<V> e = reduce<V>(V::min(V::set(89.0f), V::max(V::set(-104.0f), x)));
  return V::times_power_of_two(V::add(e.rest, V::set(1.0f)), e.n);
}

/// (exp(2 x) - 1) / (exp(2 x) + 1), the difference without cancellation for small x. In f32 tanh is 1 beyond 9.02.
template <class V>
typename V::F tanh_of(typename V::F x) {
  using F = typename V::F;
  x = V::min(V::set(10.0f), V::max(V::set(-10.0f), x));
  const Reduced<V> e = reduce<V>(V::add(x, x));
  const F power = V::times_power_of_two(V::set(1.0f), e.n);
  const F less_one = V::add(V::mul(power, e.rest), V::sub(power, V::set(1.0f)));
  return V::div(less_one, V::add(less_one, V::set(2.0f)));
}

/// z / (1 + exp(-s)): silu for s = z, gelu_tanh for s = 2 sqrt(2 / pi) (z + 0.044715 z^3), as 1 + tanh(u) = 2 / (1 +
/// exp(-2 u)).
template <class V>
typename V::F gated(typename V::F z, typename V::F s) {
  return V::div(z, V::add(V::set(1.0f), exp_of<V>(V::sub(V::zero(), s))));
}
template <class V>
typename V::F silu(typename V::F z) {
  return gated<V>(z, z);
}
template <class V>
typename V::F gelu(typename V::F z) {
  const typename V::F cube = V::mul(V::mul(z, z), z);
  return gated<V>(z, V::mul(V::set(1.5957691216057308f), V::fused(V::set(0.044715f), cube, z)));
}
/// z (1 + erf(z / sqrt(2))) / 2 = max(z, 0) - |z| erfc(|z| / sqrt(2)) / 2, with erfc of Abramowitz and Stegun 7.1.26:
/// a polynomial in 1 / (1 + 0.3275911 x) times exp(-x^2), off by 1.5e-7 at most.
template <class V>
typename V::F gelu_erf(typename V::F z) {
  using F = typename V::F;
  const F size = V::max(z, V::sub(V::zero(), z)), x = V::mul(size, V::set(0.70710678118654752f));
  const F t = V::div(V::set(1.0f), V::fused(x, V::set(0.3275911f), V::set(1.0f)));
  F p = V::set(1.061405429f);
  p = V::fused(p, t, V::set(-1.453152027f));
  p = V::fused(p, t, V::set(1.421413741f));
  p = V::fused(p, t, V::set(-0.284496736f));
  p = V::fused(p, t, V::set(0.254829592f));
  const F erfc = V::mul(V::mul(p, t), exp_of<V>(V::sub(V::zero(), V::mul(x, x))));
  return V::sub(V::max(V::zero(), z), V::mul(V::mul(size, V::set(0.5f)), erfc));
}
/// min(max(x, -limit), limit); NaN stays.
template <class V>
typename V::F clamped(typename V::F x, typename V::F limit) {
  return V::min(limit, V::max(V::sub(V::zero(), limit), x));
}

template <class V>
struct RowsOf {
  using F = typename V::F;
  static constexpr std::size_t lanes = V::lanes;

  static float max(const float* x, std::size_t count) {
    float best = x[0];
    std::size_t i = 0;
    if (count >= lanes) {
      F v = V::load(x);
      for (i = lanes; i + lanes <= count; i += lanes) v = V::max(v, V::load(x + i));
      best = V::largest(v);
    }
    for (; i < count; ++i) best = x[i] > best ? x[i] : best;
    return best;
  }

  static float exp_scaled(float* x, std::size_t count, float scale, float shift) {
    const F factor = V::set(scale), offset = V::set(-shift);
    F sum = V::zero();
    std::size_t i = 0;
    for (; i + lanes <= count; i += lanes) {
      const F e = exp_of<V>(V::fused(V::load(x + i), factor, offset));
      V::store(x + i, e);
      sum = V::add(sum, e);
    }
    if (i < count) {
      const F e = exp_of<V>(V::fused(V::load_partial(x + i, count - i), factor, offset));
      V::store_partial(x + i, count - i, e);
      float tail[lanes];
      V::store(tail, e);
      float rest = 0;
      for (std::size_t j = 0; j < count - i; ++j) rest += tail[j];
      return V::sum(sum) + rest;
    }
    return V::sum(sum);
  }

  static double sum_exp(const float* x, std::size_t count, float shift) {
    const F offset = V::set(shift);
    // Four exponentials are added in f32 (relative error 1e-7 at most), everything else in double.
    typename V::D wide = V::zero_double();
    std::size_t i = 0;
    for (; i + 4 * lanes <= count; i += 4 * lanes) {
      F e[4];
#pragma GCC unroll 4
      for (std::size_t j = 0; j < 4; ++j) e[j] = exp_of<V>(V::sub(V::load(x + i + j * lanes), offset));
      V::add_widened(V::add(V::add(e[0], e[1]), V::add(e[2], e[3])), wide);
    }
    double sum = V::sum_double(wide);
    for (; i < count; i += lanes) {
      const std::size_t n = count - i < lanes ? count - i : lanes;
      float tail[lanes];
      V::store(tail, exp_of<V>(V::sub(V::load_partial(x + i, n), offset)));
      for (std::size_t j = 0; j < n; ++j) sum += static_cast<double>(tail[j]);
    }
    return sum;
  }

  /// y[i] = f(a[i], b[i]); y may be a or b.
  template <class Function>
  static void combine(const float* a, const float* b, std::size_t count, float* y, Function f) {
    std::size_t i = 0;
    for (; i + lanes <= count; i += lanes) V::store(y + i, f(V::load(a + i), V::load(b + i)));
    if (i < count)
      V::store_partial(y + i, count - i, f(V::load_partial(a + i, count - i), V::load_partial(b + i, count - i)));
  }
  /// y[i] = f(y[i], x[i]).
  template <class Function>
  static void update(float* y, const float* x, std::size_t count, Function f) {
    combine(y, x, count, y, f);
  }

  static void soft_cap(float* x, std::size_t count, float scale, float cap) {
    const F factor = V::set(scale / cap), most = V::set(cap);
    update(x, x, count, [=](F a, F) { return V::mul(most, tanh_of<V>(V::mul(a, factor))); });
  }
  static void clamp(float* x, std::size_t count, float limit) {
    const F most = V::set(limit);
    update(x, x, count, [most](F a, F) { return clamped<V>(a, most); });
  }
  static void scale(float* x, std::size_t count, float factor) {
    const F f = V::set(factor);
    update(x, x, count, [f](F a, F) { return V::mul(a, f); });
  }
  static void add(float* y, const float* x, std::size_t count) {
    update(y, x, count, [](F a, F b) { return V::add(a, b); });
  }
  static void silu_multiply(float* gate, const float* up, std::size_t count) {
    update(gate, up, count, [](F g, F u) { return V::mul(strata::kernel::silu<V>(g), u); });
  }
  static void gelu_multiply(float* gate, const float* up, std::size_t count) {
    update(gate, up, count, [](F g, F u) { return V::mul(gelu<V>(g), u); });
  }

  static void gelu_erf_multiply(float* gate, const float* up, std::size_t count) {
    update(gate, up, count, [](F g, F u) { return V::mul(gelu_erf<V>(g), u); });
  }
  static void clamped_swiglu_multiply(float* gate, const float* up, std::size_t count, float limit, float alpha) {
    const F most = V::set(limit), steepness = V::set(alpha), one = V::set(1.0f);
    update(gate, up, count, [=](F g, F u) {
      g = V::min(most, g);
      return V::mul(gated<V>(g, V::mul(steepness, g)), V::add(clamped<V>(u, most), one));
    });
  }

  /// 1 / sqrt(mean x^2 + epsilon).
  static float inverse_root(const float* x, std::size_t size, float epsilon) {
    F sum[2] = {V::zero(), V::zero()};
    std::size_t i = 0;
    for (; i + 2 * lanes <= size; i += 2 * lanes)
      for (std::size_t j = 0; j < 2; ++j) {
        const F v = V::load(x + i + j * lanes);
        sum[j] = V::fused(v, v, sum[j]);
      }
    for (; i < size; i += lanes) {
      const F v = V::load_partial(x + i, size - i < lanes ? size - i : lanes);
      sum[0] = V::fused(v, v, sum[0]);
    }
    const float mean = V::sum(V::add(sum[0], sum[1])) / static_cast<float>(size);
    return 1.0f / __builtin_sqrtf(mean + epsilon);
  }

  static void l2_norm(const float* x, std::size_t size, float epsilon, float* y) {
    const F factor = V::set(inverse_root(x, size, epsilon));
    combine(x, x, size, y, [factor](F v, F) { return V::mul(v, factor); });
  }

  static void rms_norm(const float* x, const float* weight, std::size_t size, float epsilon, float* y) {
    const F factor = V::set(inverse_root(x, size, epsilon));
    combine(x, weight, size, y, [factor](F v, F w) { return V::mul(V::mul(v, factor), w); });
  }

  /// Sum of f(x[i]), added up in double.
  template <class Function>
  static double sum_of(const float* x, std::size_t size, Function f) {
    typename V::D wide = V::zero_double();
    std::size_t i = 0;
    for (; i + lanes <= size; i += lanes) V::add_widened(f(V::load(x + i)), wide);
    double sum = V::sum_double(wide);
    if (i < size) {
      float tail[lanes];
      V::store(tail, f(V::load_partial(x + i, size - i)));
      for (std::size_t j = 0; j < size - i; ++j) sum += static_cast<double>(tail[j]);
    }
    return sum;
  }

  static void layer_norm(const float* x, const float* weight, std::size_t size, float epsilon, float* y) {
    const auto n = static_cast<double>(size);
    const F mean = V::set(static_cast<float>(sum_of(x, size, [](F v) { return v; }) / n));
    const double squares = sum_of(x, size, [mean](F v) {
      const F d = V::sub(v, mean);
      return V::mul(d, d);
    });
    const F factor = V::set(1.0f / __builtin_sqrtf(static_cast<float>(squares / n) + epsilon));
    combine(x, weight, size, y, [=](F v, F w) { return V::mul(V::mul(V::sub(v, mean), factor), w); });
  }

  static void rope(float* x, std::size_t heads, std::size_t head_dim, const float* cos, const float* sin,
                   std::size_t half) {
    for (std::size_t h = 0; h < heads; ++h, x += head_dim) {
      std::size_t i = 0;
      for (; i + lanes <= half; i += lanes) {
        const F a = V::load(x + i), b = V::load(x + half + i), c = V::load(cos + i), s = V::load(sin + i);
        V::store(x + i, V::sub(V::mul(a, c), V::mul(b, s)));
        V::store(x + half + i, V::add(V::mul(b, c), V::mul(a, s)));
      }
      for (; i < half; ++i) {
        const float a = x[i], b = x[half + i];
        x[i] = a * cos[i] - b * sin[i];
        x[half + i] = b * cos[i] + a * sin[i];
      }
    }
  }

  static void rope_interleaved(float* x, std::size_t heads, std::size_t head_dim, const float* cos, const float* sin,
                               std::size_t half) {
    for (std::size_t h = 0; h < heads; ++h, x += head_dim)
      for (std::size_t i = 0; i < half; ++i) {
        const float a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = a * cos[i] - b * sin[i];
        x[2 * i + 1] = b * cos[i] + a * sin[i];
      }
  }

  static float dot(const float* a, const float* b, std::size_t count) {
    F sum[2] = {V::zero(), V::zero()};
    std::size_t i = 0;
    for (; i + 2 * lanes <= count; i += 2 * lanes)
      for (std::size_t j = 0; j < 2; ++j)
        sum[j] = V::fused(V::load(a + i + j * lanes), V::load(b + i + j * lanes), sum[j]);
    for (; i < count; i += lanes) {
      const std::size_t n = count - i < lanes ? count - i : lanes;
      sum[0] = V::fused(V::load_partial(a + i, n), V::load_partial(b + i, n), sum[0]);
    }
    return V::sum(V::add(sum[0], sum[1]));
  }
  static void add_scaled(float* y, const float* x, std::size_t count, float factor) {
    const F f = V::set(factor);
    update(y, x, count, [f](F a, F b) { return V::fused(f, b, a); });
  }
  static void add_product(float* y, const float* a, const float* b, std::size_t count) {
    std::size_t i = 0;
    for (; i + lanes <= count; i += lanes) V::store(y + i, V::fused(V::load(a + i), V::load(b + i), V::load(y + i)));
    if (const std::size_t n = count - i; n > 0)
      V::store_partial(y + i, n,
                       V::fused(V::load_partial(a + i, n), V::load_partial(b + i, n), V::load_partial(y + i, n)));
  }
  static void multiply(const float* a, const float* b, std::size_t count, float* y) {
    combine(a, b, count, y, [](F v, F w) { return V::mul(v, w); });
  }
  static void silu(float* x, std::size_t count) {
    update(x, x, count, [](F a, F) { return strata::kernel::silu<V>(a); });
  }
  static void multiply_by_silu(const float* x, const float* gate, std::size_t count, float* y) {
    combine(x, gate, count, y, [](F v, F g) { return V::mul(v, strata::kernel::silu<V>(g)); });
  }
  static void multiply_by_sigmoid(const float* x, const float* gate, std::size_t count, float* y) {
    combine(x, gate, count, y, [](F v, F g) { return gated<V>(v, g); });
  }
  static void relu_squared(float* x, std::size_t count) {
    update(x, x, count, [](F a, F) {
      const F positive = V::max(V::zero(), a);
      return V::mul(positive, positive);
    });
  }

  static constexpr RowKernel kernel = {&max,
                                       &exp_scaled,
                                       &sum_exp,
                                       &soft_cap,
                                       &scale,
                                       &add,
                                       &rms_norm,
                                       &l2_norm,
                                       &layer_norm,
                                       &rope,
                                       &rope_interleaved,
                                       &silu_multiply,
                                       &gelu_multiply,
                                       &gelu_erf_multiply,
                                       &clamped_swiglu_multiply,
                                       &clamp,
                                       &dot,
                                       &add_scaled,
                                       &add_product,
                                       &multiply,
                                       &silu,
                                       &multiply_by_silu,
                                       &multiply_by_sigmoid,
                                       &relu_squared};
};

}  // namespace strata::kernel
