// Gradients of the row operations: plain loops over stretches of a fixed size, exponentials by the row kernels.
// Checked against finite differences in tests/kernel/gradients_test.cpp.
#include "kernel/gradients.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/checked.h"
#include "core/error.h"
#include "core/threads.h"
#include "kernel/dispatch.h"

namespace strata::kernel {
namespace {

constexpr std::size_t kTile = 64;          // of a transposition
constexpr std::size_t kStretch = 1 << 14;  // floats of a piece of work
constexpr std::size_t kChunk = 256;        // elements whose exponentials are taken together

/// body(first, count) over rows of `size` floats.
template <class Body>
void over_rows(std::size_t rows, std::size_t size, const Body& body) {
  const std::size_t rows_per_item = std::max<std::size_t>(1, kStretch / std::max<std::size_t>(1, size));
  parallel_for(ceil_div(rows, rows_per_item),
               [&](std::size_t i) { body(i * rows_per_item, std::min(rows_per_item, rows - i * rows_per_item)); });
}

/// Value and slope of an activation.
struct Curve {
  float value, slope;
};

/// gate, up -> their gradients, under the activation curve_of(z, 1 / (1 + exp(-rate(z)))).
template <class Rate, class CurveOf>
void multiply_gradient(float* gate, float* up, const float* dy, std::size_t count, Rate rate, CurveOf curve_of) {
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
        const float d = dy[begin + i];
        g[i] = d * u[i] * curve.slope;
        u[i] = d * curve.value;
      }
    }
  });
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
  parallel_for(ceil_div(size, kTile), [&](std::size_t item) {
    const std::size_t begin = item * kTile, count = std::min(kTile, size - begin);
    double sums[kTile] = {};
    for (std::size_t t = 0; t < tokens; ++t)
      for (std::size_t i = 0; i < count; ++i) {
        const std::size_t at = t * size + begin + i;
        sums[i] += r[t] * static_cast<double>(dy[at]) * static_cast<double>(x[at]);
      }
    for (std::size_t i = 0; i < count; ++i) dweight[begin + i] += static_cast<float>(sums[i]);
  });
}

void rope_gradient(float* dx, std::size_t tokens, std::size_t heads, std::size_t head_dim, const float* cos,
                   const float* sin, std::size_t half) {
  STRATA_CHECK(2 * half <= head_dim, "half {} head_dim {}", half, head_dim);
  over_rows(tokens, heads * head_dim, [&](std::size_t first, std::size_t count) {
    for (std::size_t t = first; t < first + count; ++t)
      for (std::size_t h = 0; h < heads; ++h) {
        float* const a = dx + (t * heads + h) * head_dim;
        float* const b = a + half;
        for (std::size_t i = 0; i < half; ++i) {
          const float c = cos[t * half + i], s = sin[t * half + i], da = a[i], db = b[i];
          a[i] = da * c + db * s;
          b[i] = db * c - da * s;
        }
      }
  });
}

void silu_multiply_gradient(float* gate, float* up, const float* dy, std::size_t count) {
  multiply_gradient(
      gate, up, dy, count, [](float z) { return z; },
      [](float z, float s) {
        return Curve{z * s, s * (1.0f + z * (1.0f - s))};
      });
}

/// gelu_tanh(z) = z sigmoid(2 a (z + b z^3)).
void gelu_multiply_gradient(float* gate, float* up, const float* dy, std::size_t count) {
  constexpr float a = 0.7978845608f, b = 0.044715f;  // sqrt(2 / pi)
  multiply_gradient(
      gate, up, dy, count, [](float z) { return 2.0f * a * (z + b * z * z * z); },
      [](float z, float s) {
        return Curve{z * s, s + z * s * (1.0f - s) * 2.0f * a * (1.0f + 3.0f * b * z * z)};
      });
}

}  // namespace strata::kernel
