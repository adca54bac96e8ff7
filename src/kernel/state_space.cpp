// The forward pass of the scan of Mamba-2: a piece of work is a run of heads of one sequence, since a chunk needs the
// states that the one before it left.
#include "kernel/state_space.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "core/threads.h"
#include "kernel/dispatch.h"
#include "kernel/scratch.h"
#include "kernel/state_chunk.h"

namespace strata::kernel {
namespace {

constexpr std::size_t kFewTokens = 4;        // up to here one by one
constexpr std::size_t kSmallWork = 1 << 16;  // values of states and tokens below which threads do not pay

/// Token t of one head.
void step(const RowKernel& rows, const StateSpaceWeights& w, const StateSpace& s, std::size_t group, std::size_t head,
          std::size_t t, float* state) {
  const float* const x = s.x + t * s.stride + head * w.head_dim;
  const float* const b = s.b + t * s.stride + group * w.state_dim;
  const float* const c = s.c + t * s.stride + group * w.state_dim;
  float* const out = s.out + t * s.out_stride + head * w.head_dim;
  const float dt = step_of(w, head, s.dt[t * s.dt_stride + head]).size, decay = std::exp(w.a[head] * dt);
  for (std::size_t i = 0; i < w.head_dim; ++i) {
    float* const row = state + i * w.state_dim;
    rows.scale(row, w.state_dim, decay);
    rows.add_scaled(row, b, w.state_dim, dt * x[i]);
    out[i] = rows.dot(row, c, w.state_dim) + (w.skip == nullptr ? 0.0f : w.skip[head] * x[i]);
  }
}

void run_heads(const Variant& variant, const StateSpaceWeights& w, const StateSpace& s, const HeadRun& run) {
  thread_local Scratch zero;
  const std::size_t size = w.head_dim * w.state_dim;
  float* states = s.state == nullptr ? zero.floats(run.count * size) : s.state + run.first * size;
  if (s.state == nullptr) std::fill_n(states, run.count * size, 0.0f);
  if (s.tokens <= kFewTokens) {
    for (std::size_t h = 0; h < run.count; ++h)
      for (std::size_t t = 0; t < s.tokens; ++t)
        step(variant.rows, w, s, run.group, run.first + h, t, states + h * size);
    return;
  }
  StateChunk chunk(variant, w);
  for (std::size_t first = 0; first < s.tokens; first += kChunkTokens) {
    const std::size_t row = first * s.stride;
    const float *const b = s.b + row + run.group * w.state_dim, *const c = s.c + row + run.group * w.state_dim;
    chunk.load_group(b, c, s.stride, std::min(kChunkTokens, s.tokens - first));
    for (std::size_t h = 0; h < run.count; ++h) {
      const std::size_t head = run.first + h;
      const float* const x = s.x + row + head * w.head_dim;
      chunk.load_head(head, x, s.stride, s.dt + first * s.dt_stride + head, s.dt_stride);
      chunk.put_out(head, c, x, s.stride, states + h * size, s.out + first * s.out_stride + head * w.head_dim,
                    s.out_stride);
      chunk.carry(b, s.stride, states + h * size);
    }
  }
}

}  // namespace

void state_space(const Variant& variant, const StateSpaceWeights& w, std::span<const StateSpace> sequences) {
  std::size_t tokens = 0;
  for (const StateSpace& s : sequences) {
    check_sizes(w, s.stride, s.dt_stride);
    STRATA_CHECK(s.out_stride >= w.heads * w.head_dim, "out_stride {}", s.out_stride);
    tokens += s.tokens;
  }
  if (sequences.empty()) return;
  const std::vector<HeadRun> runs = head_runs(w);
  const auto body = [&](std::size_t i) { run_heads(variant, w, sequences[i / runs.size()], runs[i % runs.size()]); };
  const std::size_t items = sequences.size() * runs.size();
  if (tokens * w.heads * w.head_dim * w.state_dim < kSmallWork)
    for (std::size_t i = 0; i < items; ++i) body(i);
  else
    parallel_for(items, body);
}

void state_space(const StateSpaceWeights& weights, std::span<const StateSpace> sequences) {
  state_space(selected_variant(), weights, sequences);
}

}  // namespace strata::kernel
