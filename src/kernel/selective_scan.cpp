// The forward pass of the selective scan: a piece of work is a run of channels of one sequence, for all of its tokens.
// A row holds one value of the state of every channel of the run, so that all arithmetic is on rows.
#include "kernel/selective_scan.h"

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "core/threads.h"
#include "kernel/dispatch.h"
#include "kernel/scratch.h"

namespace strata::kernel {
namespace {

constexpr std::size_t kRun = 128;            // channels of a piece of work
constexpr std::size_t kSmallWork = 1 << 16;  // values of states and tokens below which threads do not pay

void run_channels(const RowKernel& rows, const SelectiveScanWeights& w, const SelectiveScan& s, std::size_t first,
                  std::size_t count) {
  thread_local Scratch scratch;
  float* const decay = scratch.floats((2 + w.state_dim) * kRun);
  float* const taken = decay + kRun;
  float* state = taken + kRun;
  std::size_t state_stride = kRun;
  if (s.state == nullptr) {
    std::fill_n(state, w.state_dim * kRun, 0.0f);
  } else {
    state = s.state + first;
    state_stride = w.channels;
  }
  for (std::size_t t = 0; t < s.tokens; ++t) {
    const std::size_t at = t * w.channels + first;
    const float *const b = s.b + t * s.stride, *const c = s.c + t * s.stride;
    rows.multiply(s.x + at, s.dt + at, count, taken);
    rows.multiply(s.x + at, w.skip + first, count, s.out + at);
    for (std::size_t n = 0; n < w.state_dim; ++n) {
      float* const values = state + n * state_stride;
      rows.multiply(s.dt + at, w.a + n * w.channels + first, count, decay);
      rows.exp_scaled(decay, count, 1.0f, 0.0f);
      rows.multiply(values, decay, count, values);
      rows.add_scaled(values, taken, count, b[n]);
      rows.add_scaled(s.out + at, values, count, c[n]);
    }
  }
}

}  // namespace

void selective_scan(const Variant& variant, const SelectiveScanWeights& w, std::span<const SelectiveScan> sequences) {
  STRATA_CHECK(w.channels > 0 && w.state_dim > 0, "channels {} state {}", w.channels, w.state_dim);
  std::size_t tokens = 0;
  for (const SelectiveScan& s : sequences) {
    STRATA_CHECK(s.stride >= w.state_dim, "stride {} state {}", s.stride, w.state_dim);
    tokens += s.tokens;
  }
  const std::size_t runs = (w.channels + kRun - 1) / kRun, items = sequences.size() * runs;
  const auto body = [&](std::size_t i) {
    const std::size_t first = i % runs * kRun;
    run_channels(variant.rows, w, sequences[i / runs], first, std::min(kRun, w.channels - first));
  };
  if (tokens * w.channels * w.state_dim < kSmallWork)
    for (std::size_t i = 0; i < items; ++i) body(i);
  else
    parallel_for(items, body);
}

void selective_scan(const SelectiveScanWeights& weights, std::span<const SelectiveScan> sequences) {
  selective_scan(selected_variant(), weights, sequences);
}

}  // namespace strata::kernel
