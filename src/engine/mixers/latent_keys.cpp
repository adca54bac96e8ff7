// transformers: modeling_deepseek_v3.py. A head's plain dimensions come before those that are turned.
#include "engine/mixers/latent_keys.h"

#include <algorithm>

#include "core/threads.h"

namespace strata::engine {

void spread_keys(const model::Architecture& a, const float* expanded, const float* turned, std::size_t tokens, float* k,
                 float* v) {
  const model::Latent& l = a.latent;
  parallel_for(tokens, [&](std::size_t t) {
    for (std::size_t h = t * a.heads; h < (t + 1) * a.heads; ++h) {
      const float* const from = expanded + h * (l.plain + l.value);
      float* const key = k + h * a.head_dim;
      std::copy_n(from, l.plain, key);
      std::copy_n(turned + t * l.turned, l.turned, key + l.plain);
      std::copy_n(from + l.plain, l.value, v + h * l.value);
    }
  });
}

kernel::Attention spread_attention(const model::Architecture& a, std::size_t row, std::size_t tokens, const float* q,
                                   const float* k, const float* v, float* out) {
  const std::size_t keys = a.heads * a.head_dim, values = a.heads * a.latent.value;
  kernel::Attention call{};
  call.q = q + row * keys;
  call.k = k + row * keys;
  call.v = v + row * values;
  call.out = out + row * values;
  call.q_stride = call.kv_stride = keys;
  call.v_stride = call.out_stride = values;
  call.tokens = tokens;
  call.heads = call.kv_heads = a.heads;
  call.head_dim = a.head_dim;
  call.v_dim = a.latent.value;
  call.scale = a.scales.attention;
  return call;
}

}  // namespace strata::engine
