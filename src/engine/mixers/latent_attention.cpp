// The latent attention mixer: keys and values of all heads are made from one narrow row a token, and only that row is
// kept for later tokens. arXiv 2405.04434, section 2.1; transformers: modeling_deepseek_v3.py.
#include <algorithm>
#include <numeric>
#include <span>

#include "core/threads.h"
#include "engine/engine.h"
#include "engine/mixers/heads.h"
#include "engine/mixers/latent_keys.h"
#include "engine/scale.h"
#include "kernel/ops.h"

namespace strata::engine {

using model::Norm;
using model::Role;

namespace {

/// Whether no token of the sequence was run before.
bool begins(const Sequence& s) { return s.cache == nullptr || s.cache->positions == 0; }

/// Whether a batch has sequences that begin, or such that go on.
bool any(const Batch& batch, bool beginning) {
  return std::ranges::any_of(batch.sequences, [&](const Sequence& s) { return begins(s) == beginning; });
}

/// kv_b's weights as f32, (heads, plain + value, kv_rank).
std::vector<float> by_heads(const kernel::Weights& kv_b, const model::Architecture& a) {
  const std::size_t both = a.latent.plain + a.latent.value;
  std::vector<float> matrices(a.heads * both * a.latent.kv_rank);
  parallel_for(a.heads, [&](std::size_t h) {
    for (std::size_t r = h * both; r < (h + 1) * both; ++r)
      kernel::read_row(kv_b, r, matrices.data() + r * a.latent.kv_rank);
  });
  return matrices;
}

/// The queries (tokens, heads * head_dim) as they read latents: (tokens, heads * (kv_rank + turned)).
std::vector<float> narrow_queries(const float* q, std::span<const float> matrices, const model::Architecture& a,
                                  std::size_t tokens) {
  const model::Latent& l = a.latent;
  const std::size_t width = l.kv_rank + l.turned;
  std::vector<float> narrow(tokens * a.heads * width);
  parallel_for(tokens * a.heads, [&](std::size_t i) {
    const float* const matrix = matrices.data() + i % a.heads * (l.plain + l.value) * l.kv_rank;
    const float* const from = q + i * a.head_dim;
    float* const to = narrow.data() + i * width;
    for (std::size_t r = 0; r < l.plain; ++r)
      for (std::size_t c = 0; c < l.kv_rank; ++c) to[c] += from[r] * matrix[r * l.kv_rank + c];
    std::copy_n(from + l.plain, l.turned, to + l.kv_rank);
  });
  return narrow;
}

/// The values of all heads, out (tokens, heads * value), of the latents that they mix, (tokens, heads * kv_rank).
void widen_values(const float* mixed, std::span<const float> matrices, const model::Architecture& a, std::size_t tokens,
                  float* out) {
  const model::Latent& l = a.latent;
  parallel_for(tokens * a.heads, [&](std::size_t i) {
    const float* const from = mixed + i * l.kv_rank;
    const float* row = matrices.data() + (i % a.heads * (l.plain + l.value) + l.plain) * l.kv_rank;
    for (std::size_t r = 0; r < l.value; ++r, row += l.kv_rank)
      out[i * l.value + r] = std::inner_product(from, from + l.kv_rank, row, 0.0f);
  });
}

}  // namespace

/// What a batch attends with: the queries, and of every token its latent and the turned dimensions of its key.
struct Engine::LatentRows {
  const float* q;              ///< (tokens, heads * head_dim)
  std::vector<float> latents;  ///< (tokens, kv_rank)
  std::vector<float> turned;   ///< (tokens, turned)
};

const float* Engine::mix_latent(BlockWeights& w, std::size_t block, const Batch& batch, const float* x,
                                const Observer* observer, Site last) {
  const model::Architecture& a = architecture_;
  const model::Latent& l = a.latent;
  const std::size_t tokens = batch.tokens;
  LatentRows rows;
  rows.q = latent_queries(w, block, batch, x, observer, last);
  if (rows.q == nullptr) return nullptr;
  const float* both = multiply_fused(w, a.index(block, Role::kv_a), x, tokens);
  rows.latents.resize(tokens * l.kv_rank);
  rows.turned.resize(tokens * l.turned);
  take_columns(both, tokens, l.kv_rank + l.turned, 0, l.kv_rank, rows.latents.data());
  take_columns(both, tokens, l.kv_rank + l.turned, l.kv_rank, l.turned, rows.turned.data());
  kernel::rms_norm(rows.latents.data(), w.norms.at(Norm::kv_a).data(), tokens, l.kv_rank, l.norm_epsilon,
                   rows.latents.data());
  turn_heads(a, a.attention[block], batch, rows.turned.data(), l.turned, 1, l.turned);
  observe(observer, Site::kv_b_in, block, rows.latents.data(), tokens, l.kv_rank);
  if (last == Site::kv_b_in) return nullptr;
  keep_latents(block, batch, rows);
  sized(attended_, tokens * a.mixed_size(block));
  if (any(batch, true)) attend_expanded(w, block, batch, rows);
  if (any(batch, false)) attend_latents(w, block, batch, rows);
  return attended_.data();
}

const float* Engine::latent_queries(BlockWeights& w, std::size_t block, const Batch& batch, const float* x,
                                    const Observer* observer, Site last) {
  const model::Architecture& a = architecture_;
  const model::Latent& l = a.latent;
  float* const q = sized(q_, batch.tokens * a.q_size());
  if (l.q_rank == 0) {
    multiply(w, a.index(block, Role::q), x, batch.tokens, q);
  } else {
    float* const latents = sized(fused_, batch.tokens * l.q_rank);
    multiply(w, a.index(block, Role::q_a), x, batch.tokens, latents);
    kernel::rms_norm(latents, w.norms.at(Norm::q_a).data(), batch.tokens, l.q_rank, l.norm_epsilon, latents);
    observe(observer, Site::q_b_in, block, latents, batch.tokens, l.q_rank);
    if (last == Site::q_b_in) return nullptr;
    multiply(w, a.index(block, Role::q_b), latents, batch.tokens, q);
  }
  turn_heads(a, a.attention[block], batch, q + l.plain, a.q_size(), a.heads, a.head_dim);
  if (a.attention[block].scales_query)
    kernel::scale_rows(q, a.q_size(), batch.tokens, a.q_size(), batch.query_factors.data());
  return q;
}

void Engine::keep_latents(std::size_t block, const Batch& batch, const LatentRows& rows) const {
  const model::Latent& l = architecture_.latent;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    for (std::size_t t = row; s.cache != nullptr && t < row + s.tokens; ++t) {
      std::vector<float>& kept = s.cache->keys[block];
      kept.insert(kept.end(), &rows.latents[t * l.kv_rank], &rows.latents[t * l.kv_rank] + l.kv_rank);
      kept.insert(kept.end(), &rows.turned[t * l.turned], &rows.turned[t * l.turned] + l.turned);
    }
    row += s.tokens;
  }
}

/// Attention of the sequences that begin here: kv_b makes the keys and values of all heads, once for every token.
void Engine::attend_expanded(BlockWeights& w, std::size_t block, const Batch& batch, const LatentRows& rows) {
  const model::Architecture& a = architecture_;
  const model::Latent& l = a.latent;
  const std::size_t tokens = batch.tokens, both = l.plain + l.value;
  std::vector<float> expanded(tokens * a.heads * both);
  multiply(w, a.index(block, Role::kv_b), rows.latents.data(), tokens, expanded.data());
  float *const k = sized(k_, tokens * a.q_size()), *const v = sized(v_, tokens * a.mixed_size(block));
  spread_keys(a, expanded.data(), rows.turned.data(), tokens, k, v);
  std::vector<kernel::Attention> calls;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    if (begins(s)) calls.push_back(spread_attention(a, row, s.tokens, rows.q, k, v, attended_.data()));
    row += s.tokens;
  }
  kernel::attention(calls);
}

/// Attention of the sequences that go on: the rows that are kept are keys and values of one head that all queries read.
/// For that kv_b's rows act on the queries before it, and on what it gives after it: (q W) l = q (W l).
void Engine::attend_latents(BlockWeights& w, std::size_t block, const Batch& batch, const LatentRows& rows) {
  const model::Architecture& a = architecture_;
  const model::Latent& l = a.latent;
  const std::size_t width = l.kv_rank + l.turned;
  const std::vector<float> matrices = by_heads(weights_of(w, a.index(block, Role::kv_b)), a);
  const std::vector<float> q = narrow_queries(rows.q, matrices, a, batch.tokens);
  std::vector<float> mixed(batch.tokens * a.heads * l.kv_rank);
  std::vector<kernel::Attention> calls;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    if (!begins(s)) {
      kernel::Attention call{};
      call.q = q.data() + row * a.heads * width;
      call.k = call.v = s.cache->keys[block].data();
      call.out = mixed.data() + row * a.heads * l.kv_rank;
      call.q_stride = a.heads * width;
      call.kv_stride = call.v_stride = width;
      call.out_stride = a.heads * l.kv_rank;
      call.tokens = s.tokens;
      call.first_position = s.cache->positions;
      call.heads = a.heads;
      call.kv_heads = 1;
      call.head_dim = width;
      call.v_dim = l.kv_rank;
      call.scale = a.scales.attention;
      calls.push_back(call);
    }
    row += s.tokens;
  }
  kernel::attention(calls);
  row = 0;
  for (const Sequence& s : batch.sequences) {
    if (!begins(s))
      widen_values(mixed.data() + row * a.heads * l.kv_rank, matrices, a, s.tokens,
                   attended_.data() + row * a.mixed_size(block));
    row += s.tokens;
  }
}

}  // namespace strata::engine
