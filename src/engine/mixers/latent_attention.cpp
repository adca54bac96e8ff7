// The latent attention mixer: keys and values of all heads are made from one narrow row a token, and only that row is
// kept for later tokens. arXiv 2405.04434, section 2.1; transformers: modeling_deepseek_v3.py.
#include <algorithm>

#include "core/threads.h"
#include "engine/engine.h"
#include "engine/scale.h"
#include "kernel/ops.h"

namespace strata::engine {

using model::Norm;
using model::Role;

namespace {

/// Copies `count` floats of each of `heads` heads, which are from_size apart in rows of `from` and to_size in rows of
/// `to`.
void copy_heads(const float* from, std::size_t from_size, float* to, std::size_t to_size, std::size_t tokens,
                std::size_t heads, std::size_t count) {
  parallel_for(tokens, [&](std::size_t t) {
    for (std::size_t h = 0; h < heads; ++h)
      std::copy_n(from + (t * heads + h) * from_size, count, to + (t * heads + h) * to_size);
  });
}

/// Copies the same `count` floats, from_stride apart by token, to every head.
void spread(const float* from, std::size_t from_stride, float* to, std::size_t to_size, std::size_t tokens,
            std::size_t heads, std::size_t count) {
  parallel_for(tokens, [&](std::size_t t) {
    for (std::size_t h = 0; h < heads; ++h) std::copy_n(from + t * from_stride, count, to + (t * heads + h) * to_size);
  });
}

}  // namespace

bool Engine::make_latent_queries(BlockWeights& w, std::size_t block, const Batch& batch, const float* x,
                                 const Shown& shown) {
  const model::Architecture& a = architecture_;
  const model::Latent& l = a.latent;
  const std::size_t tokens = batch.tokens;
  float* const q = sized(q_, tokens * a.q_size());
  if (l.q_rank == 0) {
    multiply(w, a.index(block, Role::q), x, tokens, q);
  } else {
    std::vector<float> latents(tokens * l.q_rank);
    multiply(w, a.index(block, Role::q_a), x, tokens, latents.data());
    kernel::rms_norm(latents.data(), w.norms.at(Norm::q_a).data(), tokens, l.q_rank, l.norm_epsilon, latents.data());
    if (!shown.goes_on(Site::q_b_in, latents.data(), l.q_rank)) return false;
    multiply(w, a.index(block, Role::q_b), latents.data(), tokens, q);
  }
  turn(block, batch, q + l.plain, a.q_size(), a.heads);
  if (a.attention[block].scales_query)
    kernel::scale_rows(q, a.q_size(), tokens, a.q_size(), batch.query_factors.data());
  return true;
}

void Engine::expand_latents(BlockWeights& w, std::size_t block, const float* rows, std::size_t tokens, float* k,
                            float* v) {
  const model::Latent& l = architecture_.latent;
  const std::size_t heads = architecture_.heads, width = l.kv_rank + l.turned, both = l.plain + l.value;
  std::vector<float> latents(tokens * l.kv_rank);
  take_columns(rows, tokens, width, 0, l.kv_rank, latents.data());
  std::vector<float> expanded(tokens * heads * both);
  multiply(w, architecture_.index(block, Role::kv_b), latents.data(), tokens, expanded.data());
  const std::size_t size = architecture_.head_dim;
  copy_heads(expanded.data(), both, k, size, tokens, heads, l.plain);
  copy_heads(expanded.data() + l.plain, both, v, l.value, tokens, heads, l.value);
  spread(rows + l.kv_rank, width, k + l.plain, size, tokens, heads, l.turned);
}
}  // namespace strata::engine
