// The gradient of the scan of Mamba-2: the states at the beginnings of the chunks, and then the chunks from the last to
// the first, each as the products that its forward pass is made of, turned. Heads share b and c: every run of heads
// adds up its own gradients of them, and these are added up in the order of the runs.
#include <algorithm>
#include <vector>

#include "core/checked.h"
#include "core/threads.h"
#include "kernel/dispatch.h"
#include "kernel/state_chunk.h"
#include "kernel/state_space.h"

namespace strata::kernel {
namespace {

/// One run of heads of one sequence.
struct Run {
  const StateSpaceWeights& w;
  const StateSpaceGradient& s;
  HeadRun heads;
  std::vector<float> db, dc;  ///< (tokens, state_dim): of these heads
};

/// What the gradient of a chunk of n tokens works in.
struct Work {
  std::vector<float> states;   ///< (chunks, head_dim, state_dim): before each chunk
  std::vector<float> dstate;   ///< (head_dim, state_dim): by the state after the chunk, then before it
  std::vector<float> dmixing;  ///< (n, n)
  std::vector<float> dtaken;   ///< (n, head_dim)
  std::vector<float> product;  ///< (n, head_dim): b by dstate, then c by the state
  std::vector<float> scaled;   ///< (n, head_dim): taken, then dout, as far as the decays leave them
  double dsums[kChunkTokens];  ///< by the sums of the logarithms

  Work(const StateSpaceWeights& w, std::size_t chunks)
      : states(chunks * w.head_dim * w.state_dim),
        dstate(w.head_dim * w.state_dim),
        dmixing(kChunkTokens * kChunkTokens),
        dtaken(kChunkTokens * w.head_dim),
        product(dtaken.size()),
        scaled(dtaken.size()) {}
};

/// Where a chunk's rows begin, for one head.
struct Rows {
  const float *x, *b, *c, *dt, *dout;
  float *dx, *db, *dc, *ddt;

  Rows(Run& r, std::size_t head, std::size_t first) {
    const std::size_t row = first * r.s.stride, column = head * r.w.head_dim, shared = r.heads.group * r.w.state_dim;
    x = r.s.x + row + column;
    dx = r.s.dx + row + column;
    b = r.s.b + row + shared;
    c = r.s.c + row + shared;
    db = r.db.data() + first * r.w.state_dim;
    dc = r.dc.data() + first * r.w.state_dim;
    dt = r.s.dt + first * r.s.dt_stride + head;
    ddt = r.s.ddt + first * r.s.dt_stride + head;
    dout = r.s.dout + first * r.w.heads * r.w.head_dim + column;
  }
};

/// Through the state after the chunk: dtaken, db, and dsums.
void through_carry(Work& work, const Run& r, const StateChunk& chunk, const Rows& at) {
  const std::size_t n = chunk.count, dim = r.w.head_dim, size = r.w.state_dim;
  chunk.multiply({at.b, r.s.stride}, {work.dstate.data(), size, true}, n, dim, size, work.product.data(), dim,
                 Update::store);
  std::copy_n(chunk.taken, n * dim, work.scaled.data());
  for (std::size_t i = 0; i < n; ++i) {
    chunk.rows().scale(&work.scaled[i * dim], dim, chunk.decays.to_end[i]);
    chunk.rows().add_scaled(&work.dtaken[i * dim], &work.product[i * dim], dim, chunk.decays.to_end[i]);
    const auto change = static_cast<double>(chunk.rows().dot(&work.scaled[i * dim], &work.product[i * dim], dim));
    work.dsums[n - 1] += change;
    work.dsums[i] -= change;
  }
  chunk.multiply({work.scaled.data(), dim}, {work.dstate.data(), size}, n, size, dim, at.db, size, Update::add);
}

/// Through what the chunk reads of the state before it: dc, dsums, and that state.
void through_state(Work& work, const Run& r, const StateChunk& chunk, const Rows& at, const float* state) {
  const std::size_t n = chunk.count, dim = r.w.head_dim, size = r.w.state_dim, out_stride = r.w.heads * dim;
  chunk.multiply({at.c, r.s.stride}, {state, size, true}, n, dim, size, work.product.data(), dim, Update::store);
  for (std::size_t i = 0; i < n; ++i) {
    float* const d = &work.scaled[i * dim];
    std::copy_n(at.dout + i * out_stride, dim, d);
    chunk.rows().scale(d, dim, chunk.decays.from_start[i]);
    work.dsums[i] += static_cast<double>(chunk.rows().dot(d, &work.product[i * dim], dim));
  }
  chunk.multiply({work.scaled.data(), dim}, {state, size}, n, size, dim, at.dc, size, Update::add);
  const float left = chunk.decays.from_start[n - 1];
  work.dsums[n - 1] += static_cast<double>(left * chunk.rows().dot(state, work.dstate.data(), dim * size));
  chunk.rows().scale(work.dstate.data(), dim * size, left);
  chunk.multiply({work.scaled.data(), dim, true}, {at.c, r.s.stride}, dim, size, n, work.dstate.data(), size,
                 Update::add);
}

/// Through how tokens of the chunk see each other: dtaken, b, c and dsums.
void through_mixing(Work& work, const Run& r, const StateChunk& chunk, const Rows& at) {
  const std::size_t n = chunk.count, dim = r.w.head_dim, size = r.w.state_dim, out_stride = r.w.heads * dim;
  chunk.multiply({chunk.mixing, n, true}, {at.dout, out_stride}, n, dim, n, work.dtaken.data(), dim, Update::store);
  chunk.multiply({at.dout, out_stride}, {chunk.taken, dim, true}, n, n, dim, work.dmixing.data(), n, Update::store);
  for (std::size_t i = 0; i < n; ++i) {
    float* const d = &work.dmixing[i * n];
    for (std::size_t j = 0; j <= i; ++j) {
      const auto change = static_cast<double>(d[j] * chunk.mixing[i * n + j]);
      work.dsums[i] += change;
      work.dsums[j] -= change;
      d[j] *= chunk.decays.pairs[i * n + j];
    }
    std::fill(d + i + 1, d + n, 0.0f);
  }
  chunk.multiply({work.dmixing.data(), n}, {at.b, r.s.stride}, n, size, n, at.dc, size, Update::add);
  chunk.multiply({work.dmixing.data(), n, true}, {at.c, r.s.stride}, n, size, n, at.db, size, Update::add);
}

void run_chunk_back(Work& work, Run& r, const StateChunk& chunk, std::size_t head, std::size_t first,
                    const float* state) {
  const std::size_t n = chunk.count, dim = r.w.head_dim;
  const Rows at(r, head, first);
  std::fill_n(work.dsums, n, 0.0);
  through_mixing(work, r, chunk, at);
  through_carry(work, r, chunk, at);
  through_state(work, r, chunk, at, state);
  double later = 0.0;
  for (std::size_t i = n; i-- > 0;) {
    const float* const d = &work.dtaken[i * dim];
    float* const dx = at.dx + i * r.s.stride;
    const float by_step = chunk.rows().dot(at.x + i * r.s.stride, d, dim);
    later += work.dsums[i];
    at.ddt[i * r.s.dt_stride] = chunk.steps[i].slope * (by_step + r.w.a[head] * static_cast<float>(later));
    std::copy_n(d, dim, dx);
    chunk.rows().scale(dx, dim, chunk.steps[i].size);
    if (r.w.skip != nullptr) chunk.rows().add_scaled(dx, at.dout + i * r.w.heads * dim, dim, r.w.skip[head]);
  }
}

void run_back(const Variant& variant, Run& r) {
  const StateSpaceWeights& w = r.w;
  const std::size_t chunks = ceil_div(r.s.tokens, kChunkTokens), size = w.head_dim * w.state_dim;
  r.db.assign(r.s.tokens * w.state_dim, 0.0f);
  r.dc.assign(r.db.size(), 0.0f);
  StateChunk chunk(variant, w);
  Work work(w, chunks);
  for (std::size_t head = r.heads.first; head < r.heads.first + r.heads.count; ++head) {
    const auto load = [&](std::size_t i) {
      const Rows at(r, head, i * kChunkTokens);
      chunk.load_group(at.b, at.c, r.s.stride, std::min(kChunkTokens, r.s.tokens - i * kChunkTokens));
      chunk.load_head(head, at.x, r.s.stride, at.dt, r.s.dt_stride);
      return at;
    };
    std::fill(work.states.begin(), work.states.end(), 0.0f);
    for (std::size_t i = 0; i + 1 < chunks; ++i) {
      const Rows at = load(i);
      std::copy_n(&work.states[i * size], size, &work.states[(i + 1) * size]);
      chunk.carry(at.b, r.s.stride, &work.states[(i + 1) * size]);
    }
    std::fill(work.dstate.begin(), work.dstate.end(), 0.0f);
    for (std::size_t i = chunks; i-- > 0;) {
      load(i);
      run_chunk_back(work, r, chunk, head, i * kChunkTokens, &work.states[i * size]);
    }
  }
}

/// db and dc of a group: the first run of it stores, the others add.
void add_up(const RowKernel& rows, const Run& r) {
  const std::size_t size = r.w.state_dim, column = r.heads.group * size;
  const bool first = r.heads.first % (r.w.heads / r.w.groups) == 0;
  for (std::size_t t = 0; t < r.s.tokens; ++t) {
    float *const db = r.s.db + t * r.s.stride + column, *const dc = r.s.dc + t * r.s.stride + column;
    if (first) {
      std::fill_n(db, size, 0.0f);
      std::fill_n(dc, size, 0.0f);
    }
    rows.add(db, &r.db[t * size], size);
    rows.add(dc, &r.dc[t * size], size);
  }
}

}  // namespace

void state_space_gradient(const StateSpaceWeights& w, std::span<const StateSpaceGradient> sequences) {
  const Variant& variant = selected_variant();
  std::vector<Run> runs;
  for (const StateSpaceGradient& s : sequences) {
    check_sizes(w, s.stride, s.dt_stride);
    for (const HeadRun& heads : head_runs(w)) runs.push_back({w, s, heads, {}, {}});
  }
  parallel_for(runs.size(), [&](std::size_t i) { run_back(variant, runs[i]); });
  for (const Run& r : runs) add_up(variant.rows, r);
}

}  // namespace strata::kernel
