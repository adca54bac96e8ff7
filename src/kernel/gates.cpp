// Gates and gated norms: RowKernel's functions on stretches of rows.
// Softplus and sigmoid alone are of few values, one a head and token, and are taken one by one; so is xIELU, since one
// family alone has it.
#include "kernel/gates.h"

#include <cmath>

#include "core/error.h"
#include "kernel/dispatch.h"
#include "kernel/rows.h"

namespace strata::kernel {
namespace {

/// x[i] = f(x[i]).
template <class Function>
void map(float* x, std::size_t count, Function f) {
  over_rows(count, 1, [&](std::size_t first, std::size_t n) {
    for (std::size_t i = first; i < first + n; ++i) x[i] = f(x[i]);
  });
}

}  // namespace

void softplus(float* x, std::size_t count) {
  map(x, count, [](float v) { return std::fmax(v, 0.0f) + std::log1p(std::exp(-std::abs(v))); });
}

void sigmoid(float* x, std::size_t count) {
  map(x, count, [](float v) { return 1.0f / (1.0f + std::exp(-v)); });
}

void relu_squared(float* x, std::size_t count) {
  const RowKernel& row = selected_variant().rows;
  over_rows(count, 1, [&](std::size_t i, std::size_t n) { row.relu_squared(x + i, n); });
}

void relu(float* x, std::size_t count) {
  map(x, count, [](float v) { return v < 0.0f ? 0.0f : v; });
}

void xielu(float* x, std::size_t count, const Xielu& of) {
  map(x, count, [of](float v) {
    if (v > 0.0f) return of.alpha_p * v * v + of.beta * v;
    return (std::expm1(std::fmin(v, of.epsilon)) - v) * of.alpha_n + of.beta * v;
  });
}

void multiply(const float* a, const float* b, std::size_t count, float* y) {
  const RowKernel& row = selected_variant().rows;
  over_rows(count, 1, [&](std::size_t i, std::size_t n) { row.multiply(a + i, b + i, n, y + i); });
}

void sigmoid_multiply(float* x, std::size_t x_stride, const float* gate, std::size_t gate_stride, std::size_t rows,
                      std::size_t size) {
  STRATA_CHECK(x_stride >= size && gate_stride >= size, "strides {} {} size {}", x_stride, gate_stride, size);
  const RowKernel& row = selected_variant().rows;
  over_rows(rows, size, [&](std::size_t first, std::size_t count) {
    for (std::size_t r = first; r < first + count; ++r)
      row.multiply_by_sigmoid(x + r * x_stride, gate + r * gate_stride, size, x + r * x_stride);
  });
}

void norm_then_gate(const float* x, const float* weight, const float* gate, std::size_t rows, std::size_t size,
                    float epsilon, float* y) {
  STRATA_CHECK(size > 0);
  const RowKernel& row = selected_variant().rows;
  over_rows(rows, size, [&](std::size_t first, std::size_t count) {
    for (std::size_t at = first * size; at < (first + count) * size; at += size) {
      row.rms_norm(x + at, weight, size, epsilon, y + at);
      row.multiply_by_silu(y + at, gate + at, size, y + at);
    }
  });
}

void gate_then_norm(const float* x, const float* weight, const float* gate, std::size_t tokens, std::size_t groups,
                    std::size_t size, float epsilon, float* y) {
  STRATA_CHECK(size > 0 && groups > 0);
  const RowKernel& row = selected_variant().rows;
  over_rows(tokens * groups, size, [&](std::size_t first, std::size_t count) {
    for (std::size_t r = first; r < first + count; ++r) {
      const std::size_t at = r * size;
      row.multiply_by_silu(x + at, gate + at, size, y + at);
      row.rms_norm(y + at, weight + r % groups * size, size, epsilon, y + at);
    }
  });
}

}  // namespace strata::kernel
