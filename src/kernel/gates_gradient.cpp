// Gradients of gates and gated norms. Those of the norms are the norms' own (gradients.h), at what the gate leaves.
#include <cmath>
#include <vector>

#include "core/error.h"
#include "kernel/dispatch.h"
#include "kernel/gates.h"
#include "kernel/gradients.h"
#include "kernel/rows.h"

namespace strata::kernel {
namespace {

/// dx[i] *= slope(x[i]).
template <class Slope>
void multiply_by_slope(const float* x, std::size_t count, float* dx, Slope slope) {
  over_rows(count, 1, [&](std::size_t first, std::size_t n) {
    for (std::size_t i = first; i < first + n; ++i) dx[i] *= slope(x[i]);
  });
}

float sigmoid_of(float z) { return 1.0f / (1.0f + std::exp(-z)); }
float silu_slope(float z) {
  const float s = sigmoid_of(z);
  return s * (1.0f + z * (1.0f - s));
}

/// x silu(gate).
std::vector<float> gated(const float* x, const float* gate, std::size_t count) {
  const RowKernel& row = selected_variant().rows;
  std::vector<float> y(count);
  over_rows(count, 1, [&](std::size_t i, std::size_t n) { row.multiply_by_silu(x + i, gate + i, n, y.data() + i); });
  return y;
}

/// dgate[i] = d[i] by[i] silu'(gate[i]).
void gate_gradient(const float* gate, const float* d, const float* by, std::size_t count, float* dgate) {
  over_rows(count, 1, [&](std::size_t first, std::size_t n) {
    for (std::size_t i = first; i < first + n; ++i) dgate[i] = d[i] * by[i] * silu_slope(gate[i]);
  });
}

}  // namespace

void softplus_gradient(const float* x, std::size_t count, float* dx) { multiply_by_slope(x, count, dx, sigmoid_of); }

void sigmoid_gradient(const float* y, std::size_t count, float* dx) {
  multiply_by_slope(y, count, dx, [](float s) { return s * (1.0f - s); });
}

void relu_gradient(const float* x, std::size_t count, float* dx) {
  multiply_by_slope(x, count, dx, [](float v) { return v > 0.0f ? 1.0f : 0.0f; });
}

void relu_squared_gradient(const float* x, std::size_t count, float* dx) {
  multiply_by_slope(x, count, dx, [](float v) { return v > 0.0f ? 2.0f * v : 0.0f; });
}

void xielu_gradient(const float* x, std::size_t count, const Xielu& of, float* dx) {
  multiply_by_slope(x, count, dx, [of](float v) {
    if (v > 0.0f) return 2.0f * of.alpha_p * v + of.beta;
    return ((v < of.epsilon ? std::exp(v) : 0.0f) - 1.0f) * of.alpha_n + of.beta;
  });
}

void sigmoid_multiply_gradient(float* x, std::size_t x_stride, float* gate, std::size_t gate_stride, const float* dy,
                               std::size_t rows, std::size_t size) {
  STRATA_CHECK(x_stride >= size && gate_stride >= size, "strides {} {} size {}", x_stride, gate_stride, size);
  over_rows(rows, size, [&](std::size_t first, std::size_t count) {
    for (std::size_t r = first; r < first + count; ++r)
      for (std::size_t i = 0; i < size; ++i) {
        float &v = x[r * x_stride + i], &z = gate[r * gate_stride + i];
        const float s = sigmoid_of(z), d = dy[r * size + i];
        z = d * v * s * (1.0f - s);
        v = d * s;
      }
  });
}

void norm_then_gate_gradient(const float* x, const float* weight, const float* gate, const float* dy, std::size_t rows,
                             std::size_t size, float epsilon, float* dx, float* dgate, float* dweight) {
  const std::size_t count = rows * size;
  const std::vector<float> dnormed = gated(dy, gate, count);
  std::vector<float> normed(count);
  rms_norm(x, weight, rows, size, epsilon, normed.data());
  gate_gradient(gate, dy, normed.data(), count, dgate);
  if (dweight != nullptr) rms_norm_weight_gradient(x, dnormed.data(), rows, size, epsilon, dweight);
  rms_norm_gradient(x, weight, dnormed.data(), rows, size, epsilon, dx);
}

void gate_then_norm_gradient(const float* x, const float* weight, const float* gate, const float* dy,
                             std::size_t tokens, std::size_t groups, std::size_t size, float epsilon, float* dx,
                             float* dgate, float* dweight) {
  const std::size_t width = groups * size, count = tokens * width;
  const std::vector<float> u = gated(x, gate, count);
  std::vector<float> du(count);
  if (dweight != nullptr) {
    std::vector<float>& normed = du;  // until du is made
    l2_norm(u.data(), tokens * groups, size, epsilon, normed.data());
    for (std::size_t i = 0; i < width; ++i) {
      double sum = 0.0;
      for (std::size_t t = i; t < count; t += width) sum += static_cast<double>(dy[t]) * static_cast<double>(normed[t]);
      dweight[i] += static_cast<float>(sum);
    }
  }
  over_rows(tokens, width, [&](std::size_t first, std::size_t n) {
    for (std::size_t t = first; t < first + n; ++t)
      selected_variant().rows.multiply(dy + t * width, weight, width, du.data() + t * width);
  });
  l2_norm_gradient(u.data(), du.data(), tokens * groups, size, epsilon, du.data());
  const std::vector<float> by_x = gated(du.data(), gate, count);
  gate_gradient(gate, du.data(), x, count, dgate);
  std::copy(by_x.begin(), by_x.end(), dx);
}

}  // namespace strata::kernel
