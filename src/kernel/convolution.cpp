// A piece of work is a stripe of channels of one sequence, for all of its tokens: it alone reads and writes its part of
// the state. The taps of a stripe are turned once, so that one tap of all its channels is a vector.
#include "kernel/convolution.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/checked.h"
#include "core/error.h"
#include "core/threads.h"
#include "kernel/dispatch.h"
#include "kernel/scratch.h"

namespace strata::kernel {
namespace {

constexpr std::size_t kStripe = 256;         // channels of a piece of work
constexpr std::size_t kMostTaps = 16;        // of any model; the models that there are have 3 or 4
constexpr std::size_t kSmallWork = 1 << 14;  // values below which threads do not pay

struct Stripe {
  std::size_t first, count;  // channels
};

/// taps[j * kStripe + c] = weight[first + c, j].
void turn_taps(const float* weight, std::size_t kernel, const Stripe& stripe, float* taps) {
  for (std::size_t c = 0; c < stripe.count; ++c)
    for (std::size_t j = 0; j < kernel; ++j) taps[j * kStripe + c] = weight[(stripe.first + c) * kernel + j];
}

/// y = bias + sum over j of taps[j] inputs[j], where inputs[j] may be null for a row of 0.
void convolve(const RowKernel& rows, const float* const* inputs, const float* taps, std::size_t kernel,
              const float* bias, const Stripe& stripe, float* y) {
  if (bias != nullptr)
    std::copy_n(bias + stripe.first, stripe.count, y);
  else
    std::fill_n(y, stripe.count, 0.0f);
  for (std::size_t j = 0; j < kernel; ++j)
    if (inputs[j] != nullptr) rows.add_product(y, inputs[j], taps + j * kStripe, stripe.count);
}

/// A stripe of row `row` of the state and x as one; null in a state that is absent. Tap j of token t reads row t + j.
template <class Sequence>
const float* input_row(const Sequence& s, const float* state, const Stripe& stripe, std::size_t row) {
  if (row + 1 >= s.kernel) return s.x + (row + 1 - s.kernel) * s.x_stride + stripe.first;
  return state == nullptr ? nullptr : state + row * s.channels + stripe.first;
}

void run_stripe(const RowKernel& rows, const Convolution& c, const Stripe& stripe) {
  float taps[kMostTaps * kStripe];
  const float* inputs[kMostTaps];
  turn_taps(c.weight, c.kernel, stripe, taps);
  for (std::size_t t = 0; t < c.tokens; ++t) {
    for (std::size_t j = 0; j < c.kernel; ++j) inputs[j] = input_row(c, c.state, stripe, t + j);
    float* const y = c.out + t * c.out_stride + stripe.first;
    convolve(rows, inputs, taps, c.kernel, c.bias, stripe, y);
    if (c.silu) rows.silu(y, stripe.count);
  }
  if (c.state == nullptr) return;
  // Rows move towards the state's beginning, so none is overwritten before it is read.
  for (std::size_t i = 0; i + 1 < c.kernel && c.tokens > 0; ++i)
    std::copy_n(input_row(c, c.state, stripe, c.tokens + i), stripe.count, c.state + i * c.channels + stripe.first);
}

/// dx[t] = sum over j of taps[j] dz[t + kernel - 1 - j], dz = dout or dout silu'(z).
void run_stripe_back(const RowKernel& rows, const ConvolutionGradient& c, const Stripe& stripe) {
  thread_local Scratch scratch;
  float taps[kMostTaps * kStripe], z[kStripe];
  const float* inputs[kMostTaps];
  turn_taps(c.weight, c.kernel, stripe, taps);
  float* const dz = scratch.floats(c.tokens * kStripe);
  for (std::size_t t = 0; t < c.tokens; ++t) {
    float* const d = dz + t * kStripe;
    std::copy_n(c.dout + t * c.dout_stride + stripe.first, stripe.count, d);
    if (!c.silu) continue;
    for (std::size_t j = 0; j < c.kernel; ++j) inputs[j] = input_row(c, nullptr, stripe, t + j);
    convolve(rows, inputs, taps, c.kernel, c.bias, stripe, z);
    for (std::size_t i = 0; i < stripe.count; ++i) {
      const float s = 1.0f / (1.0f + std::exp(-z[i]));
      d[i] *= s * (1.0f + z[i] * (1.0f - s));
    }
  }
  for (std::size_t t = 0; t < c.tokens; ++t) {
    for (std::size_t j = 0; j < c.kernel; ++j) {
      const std::size_t reader = t + c.kernel - 1 - j;
      inputs[j] = reader < c.tokens ? dz + reader * kStripe : nullptr;
    }
    convolve(rows, inputs, taps, c.kernel, nullptr, stripe, c.dx + t * c.dx_stride + stripe.first);
  }
}

/// body(sequence, stripe) for all stripes of all sequences.
template <class Sequence, class Body>
void over_stripes(std::span<const Sequence> sequences, const Body& body) {
  struct Item {
    const Sequence* sequence;
    Stripe stripe;
  };
  std::vector<Item> items;
  std::size_t work = 0;
  for (const Sequence& s : sequences) {
    STRATA_CHECK(s.kernel > 0 && s.kernel <= kMostTaps, "kernel {}", s.kernel);
    for (std::size_t first = 0; first < s.channels; first += kStripe)
      items.push_back({&s, {first, std::min(kStripe, s.channels - first)}});
    work += s.tokens * s.channels;
  }
  if (work < kSmallWork)
    for (const Item& item : items) body(*item.sequence, item.stripe);
  else
    parallel_for(items.size(), [&](std::size_t i) { body(*items[i].sequence, items[i].stripe); });
}

}  // namespace

void convolution(std::span<const Convolution> sequences) {
  for (const Convolution& c : sequences)
    STRATA_CHECK(std::min(c.x_stride, c.out_stride) >= c.channels, "strides {} {}", c.x_stride, c.out_stride);
  const RowKernel& rows = selected_variant().rows;
  over_stripes(sequences, [&](const Convolution& c, const Stripe& stripe) { run_stripe(rows, c, stripe); });
}

void convolution_gradient(std::span<const ConvolutionGradient> sequences) {
  for (const ConvolutionGradient& c : sequences)
    STRATA_CHECK(std::min({c.x_stride, c.dout_stride, c.dx_stride}) >= c.channels, "channels {}", c.channels);
  const RowKernel& rows = selected_variant().rows;
  over_stripes(sequences,
               [&](const ConvolutionGradient& c, const Stripe& stripe) { run_stripe_back(rows, c, stripe); });
}

}  // namespace strata::kernel
