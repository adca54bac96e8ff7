// The forward pass of the gated delta rule: a piece of work is one head of one sequence, since a chunk needs the state
// that the one before it left.
#include "kernel/delta_rule.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "core/threads.h"
#include "kernel/delta_chunk.h"
#include "kernel/dispatch.h"
#include "kernel/scratch.h"

namespace strata::kernel {
namespace {

constexpr std::size_t kFewTokens = 4;        // up to here one by one
constexpr std::size_t kSmallWork = 1 << 16;  // values of states and tokens below which threads do not pay

/// One token: S and what it gives out, S being read twice.
void step(const RowKernel& rows, const DeltaHead& h, std::size_t t, float* state, Scratch& scratch, float* out) {
  float* const k = scratch.floats(2 * h.k_dim + h.v_dim);
  float* const q = k + h.k_dim;
  float* const update = q + h.k_dim;
  normalize(rows, h.k + t * h.stride, h.k_dim, 1.0f, k);
  normalize(rows, h.q + t * h.stride, h.k_dim, 1.0f / std::sqrt(static_cast<float>(h.k_dim)), q);
  const float decay = std::exp(h.decay[t * h.heads]), beta = h.beta[t * h.heads];
  std::fill_n(update, h.v_dim, 0.0f);
  for (std::size_t i = 0; i < h.k_dim; ++i) rows.add_scaled(update, state + i * h.v_dim, h.v_dim, -decay * k[i]);
  rows.add(update, h.v + t * h.stride, h.v_dim);
  rows.scale(update, h.v_dim, beta);
  std::fill_n(out, h.v_dim, 0.0f);
  for (std::size_t i = 0; i < h.k_dim; ++i) {
    float* const row = state + i * h.v_dim;
    rows.scale(row, h.v_dim, decay);
    rows.add_scaled(row, update, h.v_dim, k[i]);
    rows.add_scaled(out, row, h.v_dim, q[i]);
  }
}

void run_head(const Variant& variant, const DeltaRule& s, std::size_t head) {
  thread_local Scratch zero, vectors;
  const DeltaHead h = delta_head(s, head);
  const std::size_t size = s.k_dim * s.v_dim;
  float* state = s.state == nullptr ? zero.floats(size) : s.state + head * size;
  if (s.state == nullptr) std::fill_n(state, size, 0.0f);
  float* const out = s.out + head * s.v_dim;
  if (s.tokens <= kFewTokens) {
    for (std::size_t t = 0; t < s.tokens; ++t) step(variant.rows, h, t, state, vectors, out + t * s.out_stride);
    return;
  }
  DeltaChunk chunk(variant);
  for (std::size_t first = 0; first < s.tokens; first += kChunkTokens) {
    chunk.load(h, first, std::min(kChunkTokens, s.tokens - first), state);
    chunk.put_out(out + first * s.out_stride, s.out_stride);
    chunk.carry(state);
  }
}

}  // namespace

void delta_rule(const Variant& variant, std::span<const DeltaRule> sequences) {
  struct Item {
    const DeltaRule* sequence;
    std::size_t head;
  };
  std::vector<Item> items;
  std::size_t work = 0;
  for (const DeltaRule& s : sequences) {
    STRATA_CHECK(s.k_heads > 0 && s.v_heads % s.k_heads == 0 && s.k_dim > 0 && s.v_dim > 0, "heads {} / {} of {} / {}",
                 s.k_heads, s.v_heads, s.k_dim, s.v_dim);
    STRATA_CHECK(s.stride >= std::max(s.k_heads * s.k_dim, s.v_heads * s.v_dim), "stride {}", s.stride);
    STRATA_CHECK(s.out_stride >= s.v_heads * s.v_dim, "out_stride {}", s.out_stride);
    for (std::size_t h = 0; h < s.v_heads; ++h) items.push_back({&s, h});
    work += s.v_heads * s.v_dim * s.k_dim * s.tokens;
  }
  if (work < kSmallWork)
    for (const Item& item : items) run_head(variant, *item.sequence, item.head);
  else
    parallel_for(items.size(), [&](std::size_t i) { run_head(variant, *items[i].sequence, items[i].head); });
}

void delta_rule(std::span<const DeltaRule> sequences) { delta_rule(selected_variant(), sequences); }

}  // namespace strata::kernel
