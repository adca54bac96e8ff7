// A chunk of the scan of Mamba-2: tokens of the chunk see each other by one product with weights that decay, as in
// attention, and what was before it through the state.
#include "kernel/state_chunk.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "kernel/scratch.h"

namespace strata::kernel {
namespace {

constexpr std::size_t kHeadsOfRun = 8;

}  // namespace

std::vector<HeadRun> head_runs(const StateSpaceWeights& w) {
  std::vector<HeadRun> runs;
  const std::size_t shared = w.heads / w.groups;
  for (std::size_t group = 0; group < w.groups; ++group)
    for (std::size_t i = 0; i < shared; i += kHeadsOfRun)
      runs.push_back({group, group * shared + i, std::min(kHeadsOfRun, shared - i)});
  return runs;
}

void check_sizes(const StateSpaceWeights& w, std::size_t stride, std::size_t dt_stride) {
  STRATA_CHECK(w.groups > 0 && w.heads % w.groups == 0 && w.head_dim > 0 && w.state_dim > 0,
               "heads {} groups {} of {} x {}", w.heads, w.groups, w.head_dim, w.state_dim);
  STRATA_CHECK(stride >= std::max(w.heads * w.head_dim, w.groups * w.state_dim), "stride {}", stride);
  STRATA_CHECK(dt_stride >= w.heads, "dt_stride {}", dt_stride);
}

Step step_of(const StateSpaceWeights& w, std::size_t head, float dt) {
  const float raw = dt + (w.dt_bias == nullptr ? 0.0f : w.dt_bias[head]);
  const float soft = std::fmax(raw, 0.0f) + std::log1p(std::exp(-std::abs(raw)));
  const float size = std::min(std::max(soft, w.least_dt), w.most_dt);
  return {size, size == soft ? 1.0f / (1.0f + std::exp(-raw)) : 0.0f};
}

void StateChunk::load_group(const float* b, const float* c, std::size_t stride, std::size_t tokens) {
  thread_local Scratch scratch;
  count = tokens;
  similar = scratch.floats(2 * kChunkTokens * kChunkTokens + kChunkTokens * weights_.head_dim);
  mixing = similar + kChunkTokens * kChunkTokens;
  taken = mixing + kChunkTokens * kChunkTokens;
  multiply({c, stride}, {b, stride, true}, count, count, weights_.state_dim, similar, count, Update::store);
}

void StateChunk::load_head(std::size_t head, const float* x, std::size_t stride, const float* dt,
                           std::size_t dt_stride) {
  const RowKernel& row = variant_.rows;
  const std::size_t dim = weights_.head_dim;
  float logarithms[kChunkTokens];
  for (std::size_t i = 0; i < count; ++i) {
    steps[i] = step_of(weights_, head, dt[i * dt_stride]);
    logarithms[i] = weights_.a[head] * steps[i].size;
    std::copy_n(x + i * stride, dim, taken + i * dim);
    row.scale(taken + i * dim, dim, steps[i].size);
  }
  decays.fill(row, logarithms, 1, count);
  for (std::size_t i = 0; i < count; ++i) {
    row.multiply(similar + i * count, decays.pairs + i * count, i + 1, mixing + i * count);
    std::fill(mixing + i * count + i + 1, mixing + (i + 1) * count, 0.0f);
  }
}

void StateChunk::put_out(std::size_t head, const float* c, const float* x, std::size_t stride, const float* state,
                         float* out, std::size_t out_stride) const {
  const std::size_t dim = weights_.head_dim, size = weights_.state_dim;
  multiply({c, stride}, {state, size, true}, count, dim, size, out, out_stride, Update::store);
  for (std::size_t i = 0; i < count; ++i) {
    rows().scale(out + i * out_stride, dim, decays.from_start[i]);
    if (weights_.skip != nullptr) rows().add_scaled(out + i * out_stride, x + i * stride, dim, weights_.skip[head]);
  }
  multiply({mixing, count}, {taken, dim}, count, dim, count, out, out_stride, Update::add);
}

void StateChunk::carry(const float* b, std::size_t stride, float* state) {
  const std::size_t dim = weights_.head_dim, size = weights_.state_dim;
  rows().scale(state, dim * size, decays.from_start[count - 1]);
  for (std::size_t i = 0; i < count; ++i) rows().scale(taken + i * dim, dim, decays.to_end[i]);
  multiply({taken, dim, true}, {b, stride}, dim, size, count, state, size, Update::add);
}

}  // namespace strata::kernel
