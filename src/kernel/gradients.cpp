// Gradients of the row operations: plain loops over stretches of a fixed size, exponentials by the row kernels.
// Checked against finite differences in tests/kernel/gradients_test.cpp.
#include "kernel/gradients.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "kernel/dispatch.h"
#include "kernel/rows.h"

namespace strata::kernel {
namespace {

constexpr std::size_t kTile = 64;    // of a transposition
constexpr std::size_t kChunk = 256;  // elements whose exponentials are taken together

/// Value and slope of an activation.
struct Curve {
  float value, slope;
};

/// y = act(gate) factor(up): gate, up -> their gradients, with act(z) = curve_of(z, 1 / (1 + exp(-rate(z)))).
template <class Rate, class CurveOf, class Factor>
void multiply_gradient(float* gate, float* up, const float* dy, std::size_t count, Rate rate, CurveOf curve_of,
                       Factor factor) {
  const RowKernel& rows = selected_variant().rows;
  over_rows(count, 1, [&](std::size_t first, std::size_t size) {
    float e[kChunk];
    for (std::size_t begin = first; begin < first + size; begin += kChunk) {
      const std::size_t n = std::min(kChunk, first + size - begin);
      float* const g = gate + begin;
      float* const u = up + begin;
      for (std::size_t i = 0; i < n; ++i) e[i] = rate(g[i]);
      rows.exp_scaled(e, n, -1.0f, 0.0f);
      for (std::size_t i = 0; i < n; ++i) {
        const Curve curve = curve_of(g[i], 1.0f / (1.0f + e[i]));
        const Curve by = factor(u[i]);
        const float d = dy[begin + i];
        g[i] = d * by.value * curve.slope;
        u[i] = d * curve.value * by.slope;
      }
    }
  });
}

Curve itself(float u) { return {u, 1.0f}; }

/// Pairs (step i, step i + apart) of every head, i < half, turned back by their angles. x: (tokens, heads * head_dim).
template <std::size_t step>
void turn_back(float* x, std::size_t tokens, std::size_t heads, std::size_t head_dim, const float* cos,
               const float* sin, std::size_t half, std::size_t apart) {
  STRATA_CHECK(2 * half <= head_dim, "half {} head_dim {}", half, head_dim);
  over_rows(tokens, heads * head_dim, [&](std::size_t first, std::size_t count) {
    for (std::size_t t = first; t < first + count; ++t)
      for (std::size_t h = 0; h < heads; ++h) {
        float* const a = x + (t * heads + h) * head_dim;
        float* const b = a + apart;
        for (std::size_t i = 0; i < half; ++i) {
          const float c = cos[t * half + i], s = sin[t * half + i], da = a[step * i], db = b[step * i];
          a[step * i] = da * c + db * s;
          b[step * i] = db * c - da * s;
        }
      }
  });
}

/// dweight[i] += sum over t of term(t, i), in double, for i < size.
template <class Term>
void add_weight_sums(std::size_t tokens, std::size_t size, float* dweight, const Term& term) {
  parallel_for(ceil_div(size, kTile), [&](std::size_t item) {
    const std::size_t begin = item * kTile, count = std::min(kTile, size - begin);
    double sums[kTile] = {};
    for (std::size_t t = 0; t < tokens; ++t)
      for (std::size_t i = 0; i < count; ++i) sums[i] += term(t, begin + i);
    for (std::size_t i = 0; i < count; ++i) dweight[begin + i] += static_cast<float>(sums[i]);
  });
}

/// What a row of a layer norm is moved and multiplied by.
struct Moments {
  double mean, factor;
};
Moments moments(const float* x, std::size_t size, float epsilon) {
  const auto n = static_cast<double>(size);
  double sum = 0.0, squares = 0.0;
  for (std::size_t i = 0; i < size; ++i) sum += static_cast<double>(x[i]);
  const double mean = sum / n;
  for (std::size_t i = 0; i < size; ++i) {
    const double d = static_cast<double>(x[i]) - mean;
    squares += d * d;
  }
  return {mean, 1.0 / std::sqrt(squares / n + static_cast<double>(epsilon))};
}

}  // namespace

void transpose(const float* in, std::size_t in_stride, std::size_t rows, std::size_t cols, float* out) {
  parallel_for(ceil_div(cols, kTile), [&](std::size_t item) {
    const std::size_t begin = item * kTile, end = std::min(cols, begin + kTile);
    for (std::size_t r = 0; r < rows; r += kTile)
      for (std::size_t c = begin; c < end; ++c)
        for (std::size_t i = r; i < std::min(rows, r + kTile); ++i) out[c * rows + i] = in[i * in_stride + c];
  });
}

void rms_norm_gradient(const float* x, const float* weight, const float* dy, std::size_t tokens, std::size_t size,
                       float epsilon, float* dx) {
  STRATA_CHECK(size > 0);
  over_rows(tokens, size, [&](std::size_t first, std::size_t count) {
    for (std::size_t t = first; t < first + count; ++t) {
      const float* const row = x + t * size;
      const float* const d = dy + t * size;
      double squares = 0.0, product = 0.0;
      for (std::size_t i = 0; i < size; ++i) {
        squares += static_cast<double>(row[i]) * static_cast<double>(row[i]);
        product += static_cast<double>(weight[i] * d[i]) * static_cast<double>(row[i]);
      }
      const auto n = static_cast<double>(size);
      const double r = 1.0 / std::sqrt(squares / n + static_cast<double>(epsilon));
      const auto own = static_cast<float>(r), shared = static_cast<float>(r * r * r * product / n);
      for (std::size_t i = 0; i < size; ++i) dx[t * size + i] = own * weight[i] * d[i] - shared * row[i];
    }
  });
}

void rms_norm_weight_gradient(const float* x, const float* dy, std::size_t tokens, std::size_t size, float epsilon,
                              float* dweight) {
  STRATA_CHECK(size > 0);
  std::vector<double> r(tokens);
  parallel_for(tokens, [&](std::size_t t) {
    double squares = 0.0;
    for (std::size_t i = 0; i < size; ++i)
      squares += static_cast<double>(x[t * size + i]) * static_cast<double>(x[t * size + i]);
    r[t] = 1.0 / std::sqrt(squares / static_cast<double>(size) + static_cast<double>(epsilon));
  });
  add_weight_sums(tokens, size, dweight, [&](std::size_t t, std::size_t i) {
    return r[t] * static_cast<double>(dy[t * size + i]) * static_cast<double>(x[t * size + i]);
  });
}

void l2_norm_gradient(const float* x, const float* dy, std::size_t rows, std::size_t size, float epsilon, float* dx) {
  const std::vector<float> ones(size, 1.0f);
  rms_norm_gradient(x, ones.data(), dy, rows, size, epsilon, dx);
}

void layer_norm_gradient(const float* x, const float* weight, const float* dy, std::size_t tokens, std::size_t size,
                         float epsilon, float* dx) {
  STRATA_CHECK(size > 0);
  over_rows(tokens, size, [&](std::size_t first, std::size_t count) {
    for (std::size_t t = first; t < first + count; ++t) {
      const float* const row = x + t * size;
      const float* const d = dy + t * size;
      const Moments m = moments(row, size, epsilon);
      double sum = 0.0, product = 0.0;
      for (std::size_t i = 0; i < size; ++i) {
        const auto g = static_cast<double>(weight[i] * d[i]);
        sum += g;
        product += g * (static_cast<double>(row[i]) - m.mean) * m.factor;
      }
      const auto n = static_cast<double>(size);
      for (std::size_t i = 0; i < size; ++i) {
        const double normed = (static_cast<double>(row[i]) - m.mean) * m.factor;
        const auto g = static_cast<double>(weight[i] * d[i]);
        dx[t * size + i] = static_cast<float>(m.factor * (g - sum / n - normed * (product / n)));
      }
    }
  });
}

void layer_norm_weight_gradient(const float* x, const float* dy, std::size_t tokens, std::size_t size, float epsilon,
                                float* dweight) {
  STRATA_CHECK(size > 0);
  std::vector<Moments> of(tokens);
  parallel_for(tokens, [&](std::size_t t) { of[t] = moments(x + t * size, size, epsilon); });
  add_weight_sums(tokens, size, dweight, [&](std::size_t t, std::size_t i) {
    const double normed = (static_cast<double>(x[t * size + i]) - of[t].mean) * of[t].factor;
    return normed * static_cast<double>(dy[t * size + i]);
  });
}

void rope_gradient(float* dx, std::size_t tokens, std::size_t heads, std::size_t head_dim, const float* cos,
                   const float* sin, std::size_t half) {
  turn_back<1>(dx, tokens, heads, head_dim, cos, sin, half, half);
}

void rope_interleaved_gradient(float* dx, std::size_t tokens, std::size_t heads, std::size_t head_dim, const float* cos,
                               const float* sin, std::size_t half) {
  turn_back<2>(dx, tokens, heads, head_dim, cos, sin, half, 1);
}

void silu_multiply_gradient(float* gate, float* up, const float* dy, std::size_t count) {
  multiply_gradient(
      gate, up, dy, count, [](float z) { return z; },
      [](float z, float s) {
        return Curve{z * s, s * (1.0f + z * (1.0f - s))};
      },
      itself);
}

/// gelu_tanh(z) = z sigmoid(2 a (z + b z^3)).
void gelu_multiply_gradient(float* gate, float* up, const float* dy, std::size_t count) {
  constexpr float a = 0.7978845608f, b = 0.044715f;  // sqrt(2 / pi)
  multiply_gradient(
      gate, up, dy, count, [](float z) { return 2.0f * a * (z + b * z * z * z); },
      [](float z, float s) {
        return Curve{z * s, s + z * s * (1.0f - s) * 2.0f * a * (1.0f + 3.0f * b * z * z)};
      },
      itself);
}

/// The slope of z P(z) is P(z) + z p(z), with P and p the distribution and the density of the normal law.
void gelu_erf_multiply_gradient(float* gate, float* up, const float* dy, std::size_t count) {
  constexpr float root_half = 0.70710678f, density_at_0 = 0.39894228f;
  over_rows(count, 1, [&](std::size_t first, std::size_t size) {
    for (std::size_t i = first; i < first + size; ++i) {
      const float z = gate[i], below = 0.5f * std::erfc(-z * root_half);
      gate[i] = dy[i] * up[i] * (below + z * density_at_0 * std::exp(-0.5f * z * z));
      up[i] = dy[i] * z * below;
    }
  });
}

void clamped_swiglu_multiply_gradient(float* gate, float* up, const float* dy, std::size_t count, float limit,
                                      float alpha) {
  STRATA_CHECK(limit >= 0.0f, "limit {}", limit);
  multiply_gradient(
      gate, up, dy, count, [=](float g) { return alpha * std::min(g, limit); },
      [=](float g, float s) {
        const float z = std::min(g, limit);
        return Curve{z * s, g > limit ? 0.0f : s * (1.0f + alpha * z * (1.0f - s))};
      },
      [=](float u) {
        return Curve{std::clamp(u, -limit, limit) + 1.0f, std::abs(u) > limit ? 0.0f : 1.0f};
      });
}

void clamp_gradient(const float* x, std::size_t count, float limit, float* dx) {
  STRATA_CHECK(limit >= 0.0f, "limit {}", limit);
  over_rows(count, 1, [&](std::size_t first, std::size_t size) {
    for (std::size_t i = first; i < first + size; ++i) dx[i] = std::abs(x[i]) > limit ? 0.0f : dx[i];
  });
}

}  // namespace strata::kernel
