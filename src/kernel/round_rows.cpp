// A row is rounded by one thread, whatever else is in the batch.
#include "kernel/round_rows.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>

#include "core/checked.h"
#include "core/threads.h"

namespace strata::kernel {

void round_rows(const codec::ActivationRounding& rounding, const float* x, std::size_t tokens, std::size_t size,
                float* out) {
  parallel_for(tokens, [&](std::size_t t) {
    codec::round_activations(rounding, {x + t * size, size}, {out + t * size, size});
  });
}

namespace {

/// Calls body(first, end) for stretches of `count` values, on all threads.
template <class Body>
void over_stretches(std::size_t count, const Body& body) {
  constexpr std::size_t stretch = 32u << 10;
  parallel_for(ceil_div(count, stretch), [&](std::size_t i) { body(i * stretch, std::min(count, (i + 1) * stretch)); });
}

}  // namespace

void narrow(const float* x, std::size_t count, bf16* out) {
  over_stretches(count, [&](std::size_t first, std::size_t end) {
    // Without a branch, which would keep the compiler from vectors.
    for (std::size_t i = first; i < end; ++i) {
      const auto bits = std::bit_cast<std::uint32_t>(x[i]);
      const std::uint32_t rounded = bits + 0x7FFFu + ((bits >> 16) & 1u);
      const bool is_nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
      out[i].bits = static_cast<std::uint16_t>((is_nan ? bits | 0x400000u : rounded) >> 16);
    }
  });
}

void widen(const bf16* x, std::size_t count, float* out) {
  over_stretches(count, [&](std::size_t first, std::size_t end) {
    for (std::size_t i = first; i < end; ++i) out[i] = to_float(x[i]);
  });
}

void subtract(const float* a, const float* b, std::size_t count, float* out) {
  over_stretches(count, [&](std::size_t first, std::size_t end) {
    for (std::size_t i = first; i < end; ++i) out[i] = a[i] - b[i];
  });
}

bool all_finite(const float* values, std::size_t count) {
  constexpr std::uint32_t exponent = 0x7F800000u;
  std::atomic<bool> finite = true;
  over_stretches(count, [&](std::size_t first, std::size_t end) {
    std::uint32_t other = 0;
    for (std::size_t i = first; i < end; ++i)
      other |= (std::bit_cast<std::uint32_t>(values[i]) & exponent) == exponent ? 1u : 0u;
    if (other != 0) finite = false;
  });
  return finite;
}

float largest_magnitude(const float* values, std::size_t count) {
  float most = 0.0f;
  for (std::size_t i = 0; i < count; ++i) most = std::max(most, std::fabs(values[i]));
  return most;
}

}  // namespace strata::kernel
