// Row operations and log-sum-exp spread over the threads.
// Each is one of RowKernel's functions on stretches of rows (rows.h).
#include "kernel/ops.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "kernel/dispatch.h"
#include "kernel/rows.h"

namespace strata::kernel {
namespace {

/// One of RowKernel's norms with weights on every row of x (tokens, size).
void norm_rows(decltype(RowKernel::rms_norm) norm, const float* x, const float* weight, std::size_t tokens,
               std::size_t size, float epsilon, float* y) {
  STRATA_CHECK(size > 0);
  over_rows(tokens, size, [&](std::size_t first, std::size_t count) {
    for (std::size_t t = first; t < first + count; ++t) norm(x + t * size, weight, size, epsilon, y + t * size);
  });
}

}  // namespace

void rms_norm(const float* x, const float* weight, std::size_t tokens, std::size_t size, float epsilon, float* y) {
  norm_rows(selected_variant().rows.rms_norm, x, weight, tokens, size, epsilon, y);
}

void l2_norm(const float* x, std::size_t rows, std::size_t size, float epsilon, float* y) {
  STRATA_CHECK(size > 0);
  const Variant& variant = selected_variant();
  over_rows(rows, size, [&](std::size_t first, std::size_t count) {
    for (std::size_t t = first; t < first + count; ++t) variant.rows.l2_norm(x + t * size, size, epsilon, y + t * size);
  });
}

void layer_norm(const float* x, const float* weight, std::size_t tokens, std::size_t size, float epsilon, float* y) {
  norm_rows(selected_variant().rows.layer_norm, x, weight, tokens, size, epsilon, y);
}

void rope(float* x, std::size_t stride, std::size_t tokens, std::size_t heads, std::size_t head_dim, const float* cos,
          const float* sin, std::size_t half) {
  STRATA_CHECK(2 * half <= head_dim && stride >= heads * head_dim, "half {} head_dim {}", half, head_dim);
  const Variant& variant = selected_variant();
  over_rows(tokens, heads * head_dim, [&](std::size_t first, std::size_t count) {
    for (std::size_t t = first; t < first + count; ++t)
      variant.rows.rope(x + t * stride, heads, head_dim, cos + t * half, sin + t * half, half);
  });
}

void rope_interleaved(float* x, std::size_t stride, std::size_t tokens, std::size_t heads, std::size_t head_dim,
                      const float* cos, const float* sin, std::size_t half) {
  STRATA_CHECK(2 * half <= head_dim && stride >= heads * head_dim, "half {} head_dim {}", half, head_dim);
  const Variant& variant = selected_variant();
  over_rows(tokens, heads * head_dim, [&](std::size_t first, std::size_t count) {
    for (std::size_t t = first; t < first + count; ++t)
      variant.rows.rope_interleaved(x + t * stride, heads, head_dim, cos + t * half, sin + t * half, half);
  });
}

void silu_multiply(float* gate, const float* up, std::size_t count) {
  const Variant& variant = selected_variant();
  over_rows(count, 1, [&](std::size_t i, std::size_t n) { variant.rows.silu_multiply(gate + i, up + i, n); });
}

void gelu_multiply(float* gate, const float* up, std::size_t count) {
  const Variant& variant = selected_variant();
  over_rows(count, 1, [&](std::size_t i, std::size_t n) { variant.rows.gelu_multiply(gate + i, up + i, n); });
}

void gelu_erf_multiply(float* gate, const float* up, std::size_t count) {
  const Variant& variant = selected_variant();
  over_rows(count, 1, [&](std::size_t i, std::size_t n) { variant.rows.gelu_erf_multiply(gate + i, up + i, n); });
}

void clamped_swiglu_multiply(float* gate, const float* up, std::size_t count, float limit, float alpha) {
  STRATA_CHECK(limit >= 0.0f, "limit {}", limit);
  const Variant& variant = selected_variant();
  over_rows(count, 1, [&](std::size_t i, std::size_t n) {
    variant.rows.clamped_swiglu_multiply(gate + i, up + i, n, limit, alpha);
  });
}

void add(float* y, const float* x, std::size_t count) {
  const Variant& variant = selected_variant();
  over_rows(count, 1, [&](std::size_t i, std::size_t n) { variant.rows.add(y + i, x + i, n); });
}

void add_bias(float* y, const float* bias, std::size_t tokens, std::size_t size) {
  const Variant& variant = selected_variant();
  over_rows(tokens, size, [&](std::size_t first, std::size_t count) {
    for (std::size_t t = first; t < first + count; ++t) variant.rows.add(y + t * size, bias, size);
  });
}

void clamp(float* x, std::size_t count, float limit) {
  STRATA_CHECK(limit >= 0.0f, "limit {}", limit);
  const Variant& variant = selected_variant();
  over_rows(count, 1, [&](std::size_t i, std::size_t n) { variant.rows.clamp(x + i, n, limit); });
}

void scale_rows(float* x, std::size_t stride, std::size_t rows, std::size_t size, const float* factors) {
  STRATA_CHECK(stride >= size, "stride {} size {}", stride, size);
  const Variant& variant = selected_variant();
  over_rows(rows, size, [&](std::size_t first, std::size_t count) {
    for (std::size_t t = first; t < first + count; ++t) variant.rows.scale(x + t * stride, size, factors[t]);
  });
}

std::size_t first_key(std::size_t position, std::size_t window, std::size_t chunk) {
  const std::size_t of_window = window == 0 || position < window ? 0 : position - window + 1;
  return std::max(of_window, chunk == 0 ? 0 : position / chunk * chunk);
}

double log_sum_exp(const Variant& variant, const float* x, std::size_t size) {
  STRATA_CHECK(size > 0);
  const float most = variant.rows.max(x, size);
  if (std::isinf(most)) {
    // The shift below would make NaN of infinities. A NaN among them stays one; no finite value counts beside +inf.
    const bool has_nan = std::any_of(x, x + size, [](float v) { return std::isnan(v); });
    return has_nan ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(most);
  }
  return static_cast<double>(most) + std::log(variant.rows.sum_exp(x, size, most));
}

double log_sum_exp(const float* x, std::size_t size) { return log_sum_exp(selected_variant(), x, size); }

}  // namespace strata::kernel
