// The gradient of the gated delta rule: the states at the beginnings of the chunks, and then the chunks from the last
// to the first, each as the products that its forward pass is made of, turned.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/checked.h"
#include "core/error.h"
#include "core/threads.h"
#include "kernel/delta_chunk.h"
#include "kernel/delta_rule.h"
#include "kernel/dispatch.h"

namespace strata::kernel {
namespace {

/// Where the gradients of one head of values go: pointers to what belongs to token 0, strides as of DeltaHead.
struct HeadGradient {
  const float* dout;
  std::size_t dout_stride;
  float *dq, *dk, *dv, *ddecay, *dbeta;
};

/// What the gradient of a chunk works in; stacked as in DeltaChunk, n tokens.
struct Work {
  const Variant& variant;
  std::vector<float> dstate;    ///< (k_dim, v_dim): by the state after the chunk, then before it
  std::vector<float> dstacked;  ///< (2 n, k_dim)
  std::vector<float> dright;    ///< (2 n, v_dim): by what (I - N) u equals, then dout
  std::vector<float> dread;     ///< (2 n, v_dim)
  std::vector<float> dweights;  ///< (2 n, n)
  std::vector<float> carried;   ///< (n, v_dim): keys by dstate
  double dsums[kChunkTokens];   ///< by c[i], the decays' sums

  Work(const Variant& v, std::size_t k_dim, std::size_t v_dim)
      : variant(v),
        dstate(k_dim * v_dim),
        dstacked(2 * kChunkTokens * k_dim),
        dright(2 * kChunkTokens * v_dim),
        dread(dright.size()),
        dweights(2 * kChunkTokens * kChunkTokens),
        carried(kChunkTokens * v_dim) {}
  void multiply(const Operand& a, const Operand& b, std::size_t m, std::size_t n, std::size_t k, float* c,
                std::size_t c_stride, Update update) const {
    multiply_small(variant.f32, a, b, m, n, k, c, c_stride, update);
  }
};

/// The gradient by the updates, through out and through the state that the chunk leaves, becomes that by the right side
/// of (I - N) u = ...; keys get theirs through that state.
void through_updates(Work& w, DeltaChunk& c, const HeadGradient& g, std::size_t first) {
  const RowKernel& rows = w.variant.rows;
  const std::size_t n = c.count, k = c.k_dim, v = c.v_dim;
  float* const du = w.dright.data();
  float* const dout = du + n * v;
  for (std::size_t i = 0; i < n; ++i) std::copy_n(g.dout + (first + i) * g.dout_stride, v, dout + i * v);
  w.multiply({c.weights + n * n, n, true}, {dout, v}, n, v, n, du, v, Update::store);
  w.multiply({c.stacked, k}, {w.dstate.data(), v}, n, v, k, w.carried.data(), v, Update::store);
  w.multiply({c.updates, v}, {w.dstate.data(), v, true}, n, k, v, w.dstacked.data(), k, Update::store);
  for (std::size_t i = 0; i < n; ++i) {
    rows.add_scaled(du + i * v, &w.carried[i * v], v, c.decays.to_end[i]);
    rows.scale(&w.dstacked[i * k], k, c.decays.to_end[i]);
    const auto change = static_cast<double>(c.decays.to_end[i] * rows.dot(&w.carried[i * v], c.updates + i * v, v));
    w.dsums[n - 1] += change;
    w.dsums[i] -= change;
  }
  std::fill_n(&w.dstacked[n * k], n * k, 0.0f);
  c.solve_turned(du);
}

/// Through what the chunk reads of the state before it: dread, keys, queries, values, and that state.
void through_state(Work& w, const DeltaChunk& c, const DeltaHead& head, const HeadGradient& g, std::size_t first,
                   const float* state) {
  const RowKernel& rows = w.variant.rows;
  const std::size_t n = c.count, k = c.k_dim, v = c.v_dim;
  std::copy_n(w.dright.data(), 2 * n * v, w.dread.data());
  for (std::size_t i = 0; i < n; ++i) {
    const float beta = head.beta[(first + i) * head.heads];
    float* const dv = g.dv + (first + i) * head.stride;
    std::copy_n(&w.dright[i * v], v, dv);
    rows.scale(dv, v, beta);
    rows.scale(&w.dread[i * v], v, -beta * c.decays.from_start[i]);
    rows.scale(&w.dread[(n + i) * v], v, c.decays.from_start[i]);
    w.dsums[i] += static_cast<double>(rows.dot(&w.dread[i * v], c.read + i * v, v));
    w.dsums[i] += static_cast<double>(rows.dot(&w.dread[(n + i) * v], c.read + (n + i) * v, v));
    g.dbeta[(first + i) * head.heads] = rows.dot(&w.dright[i * v], c.missed + i * v, v);
  }
  w.multiply({w.dread.data(), v}, {state, v, true}, 2 * n, k, v, w.dstacked.data(), k, Update::add);
  w.dsums[n - 1] += static_cast<double>(c.decays.from_start[n - 1] * rows.dot(state, w.dstate.data(), k * v));
  rows.scale(w.dstate.data(), k * v, c.decays.from_start[n - 1]);
  w.multiply({c.stacked, k, true}, {w.dread.data(), v}, k, v, 2 * n, w.dstate.data(), v, Update::add);
}

/// Through the weights of tokens of the chunk in each other: beta, decays, keys and queries.
void through_weights(Work& w, const DeltaChunk& c, const DeltaHead& head, const HeadGradient& g, std::size_t first) {
  const std::size_t n = c.count, k = c.k_dim, v = c.v_dim;
  w.multiply({w.dright.data(), v}, {c.updates, v, true}, 2 * n, n, v, w.dweights.data(), n, Update::store);
  for (std::size_t r = 0; r < 2 * n; ++r) {
    const std::size_t i = r % n, seen = r < n ? i : i + 1;
    const float factor = r < n ? -head.beta[(first + i) * head.heads] : 1.0f;
    float* const d = &w.dweights[r * n];
    double by_factor = 0.0;
    for (std::size_t j = 0; j < seen; ++j) {
      const auto change = static_cast<double>(d[j] * c.weights[r * n + j]);
      w.dsums[i] += change;
      w.dsums[j] -= change;
      d[j] *= c.decays.pairs[i * n + j];
      by_factor += static_cast<double>(d[j] * c.similar[r * n + j]);
      d[j] *= factor;
    }
    std::fill(d + seen, d + n, 0.0f);
    if (r < n) g.dbeta[(first + i) * head.heads] -= static_cast<float>(by_factor);
  }
  w.multiply({w.dweights.data(), n}, {c.stacked, k}, 2 * n, k, n, w.dstacked.data(), k, Update::add);
  w.multiply({w.dweights.data(), n, true}, {c.stacked, k}, n, k, 2 * n, w.dstacked.data(), k, Update::add);
}

/// dx += the gradient of y = scale x / sqrt(|x|^2 + epsilon), whose factor of x is `factor`.
void add_through_norm(const RowKernel& rows, const float* y, const float* dy, std::size_t size, float factor,
                      float scale, float* dx) {
  rows.add_scaled(dx, dy, size, factor);
  rows.add_scaled(dx, y, size, -factor * rows.dot(y, dy, size) / (scale * scale));
}

void run_chunk_back(Work& w, DeltaChunk& c, const DeltaHead& head, const HeadGradient& g, std::size_t first,
                    const float* state) {
  const std::size_t n = c.count, k = c.k_dim;
  std::fill_n(w.dsums, n, 0.0);
  through_updates(w, c, g, first);
  through_state(w, c, head, g, first, state);
  through_weights(w, c, head, g, first);
  const float scale = 1.0f / std::sqrt(static_cast<float>(k));
  double later = 0.0;
  for (std::size_t i = n; i-- > 0;) {
    g.ddecay[(first + i) * head.heads] = static_cast<float>(later += w.dsums[i]);
    const std::size_t at = (first + i) * head.stride, key = i * k, query = (n + i) * k;
    add_through_norm(w.variant.rows, c.stacked + key, &w.dstacked[key], k, c.factors[i], 1.0f, g.dk + at);
    add_through_norm(w.variant.rows, c.stacked + query, &w.dstacked[query], k, c.factors[n + i], scale, g.dq + at);
  }
}

/// All chunks of one head of values; adds to dq and dk, which heads share.
void run_head_back(const Variant& variant, const DeltaRuleGradient& s, std::size_t head) {
  const DeltaHead h = delta_head(s, head);
  const std::size_t k_head = s.k_head_of(head), size = s.k_dim * s.v_dim;
  const HeadGradient g{s.dout + head * s.v_dim, s.v_heads * s.v_dim, s.dq + k_head * s.k_dim, s.dk + k_head * s.k_dim,
                       s.dv + head * s.v_dim,   s.ddecay + head,     s.dbeta + head};
  const std::size_t chunks = ceil_div(s.tokens, kChunkTokens);
  std::vector<float> states(chunks * size, 0.0f);  // before each chunk
  DeltaChunk chunk(variant);
  const auto load = [&](std::size_t i) {
    const std::size_t first = i * kChunkTokens;
    chunk.load(h, first, std::min(kChunkTokens, s.tokens - first), &states[i * size]);
  };
  for (std::size_t i = 0; i + 1 < chunks; ++i) {
    load(i);
    std::copy_n(&states[i * size], size, &states[(i + 1) * size]);
    chunk.carry(&states[(i + 1) * size]);
  }
  Work work(variant, s.k_dim, s.v_dim);
  for (std::size_t i = chunks; i-- > 0;) {
    load(i);
    run_chunk_back(work, chunk, h, g, i * kChunkTokens, &states[i * size]);
  }
}

}  // namespace

void delta_rule_gradient(std::span<const DeltaRuleGradient> sequences) {
  struct Item {
    const DeltaRuleGradient* sequence;
    std::size_t k_head;
  };
  std::vector<Item> items;
  for (const DeltaRuleGradient& s : sequences) {
    STRATA_CHECK(s.k_heads > 0 && s.v_heads % s.k_heads == 0 && s.k_dim > 0 && s.v_dim > 0, "heads {} / {} of {} / {}",
                 s.k_heads, s.v_heads, s.k_dim, s.v_dim);
    STRATA_CHECK(s.stride >= std::max(s.k_heads * s.k_dim, s.v_heads * s.v_dim), "stride {}", s.stride);
    for (std::size_t h = 0; h < s.k_heads; ++h) items.push_back({&s, h});
  }
  const Variant& variant = selected_variant();
  parallel_for(items.size(), [&](std::size_t i) {
    const DeltaRuleGradient& s = *items[i].sequence;
    const std::size_t k_head = items[i].k_head;
    for (std::size_t t = 0; t < s.tokens; ++t) {
      std::fill_n(s.dq + t * s.stride + k_head * s.k_dim, s.k_dim, 0.0f);
      std::fill_n(s.dk + t * s.stride + k_head * s.k_dim, s.k_dim, 0.0f);
    }
    for (std::size_t head = 0; head < s.v_heads; ++head)
      if (s.k_head_of(head) == k_head) run_head_back(variant, s, head);
  });
}

}  // namespace strata::kernel
