// The attention mixer: what a block's o reads, made from its normed input, with or without a key-value cache.
// Heads are clipped, normed, turned and scaled as the Architecture says; transformers: modeling_llama.py and its kin.
#include "engine/engine.h"
#include "engine/mixers/heads.h"
#include "engine/scale.h"
#include "kernel/gates.h"
#include "kernel/ops.h"

namespace strata::engine {

using model::Norm;
using model::Role;

void Engine::make_heads(BlockWeights& w, std::size_t block, const float* x, std::size_t tokens) {
  const model::Architecture& a = architecture_;
  const std::size_t q_size = a.q_size(), kv_size = a.kv_size();
  float *const q = sized(q_, tokens * q_size), *const k = sized(k_, tokens * kv_size),
               *const v = sized(v_, tokens * kv_size);
  if (a.has(block, Role::qkv)) {
    const float* all = multiply_fused(w, a.index(block, Role::qkv), x, tokens);
    const std::size_t width = q_size + 2 * kv_size;
    take_columns(all, tokens, width, 0, q_size, q);
    take_columns(all, tokens, width, q_size, kv_size, k);
    take_columns(all, tokens, width, q_size + kv_size, kv_size, v);
  } else {
    if (a.output_gate) {
      // Every head of q has its gate behind it.
      const float* both = multiply_fused(w, a.index(block, Role::q), x, tokens);
      take_columns(both, tokens * a.heads, 2 * a.head_dim, 0, a.head_dim, q);
      take_columns(both, tokens * a.heads, 2 * a.head_dim, a.head_dim, a.head_dim, sized(gates_, tokens * q_size));
    } else {
      multiply(w, a.index(block, Role::q), x, tokens, q);
    }
    multiply(w, a.index(block, Role::k), x, tokens, k);
    multiply(w, a.index(block, Role::v), x, tokens, v);
  }
  if (a.clip_qkv != 0.0f) kernel::clamp(v, tokens * kv_size, a.clip_qkv);
}

void Engine::prepare_heads(const BlockWeights& w, std::size_t block, const Batch& batch, Norm norm, std::size_t heads,
                           float* rows) const {
  const auto it = w.norms.find(norm);
  engine::prepare_heads(architecture_, architecture_.attention[block], batch, norm,
                        it == w.norms.end() ? nullptr : it->second.data(), heads, rows);
}

const float* Engine::mix_attention(BlockWeights& w, std::size_t block, const Batch& batch, const float* x) {
  const model::Architecture& a = architecture_;
  make_heads(w, block, x, batch.tokens);
  prepare_heads(w, block, batch, Norm::q, a.heads, q_.data());
  prepare_heads(w, block, batch, Norm::k, a.kv_heads, k_.data());
  float* const attended = sized(attended_, batch.tokens * a.q_size());
  std::vector<kernel::Attention> calls;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    kernel::Attention call{};
    call.q = q_.data() + row * a.q_size();
    call.q_stride = call.out_stride = a.q_size();
    call.out = attended + row * a.q_size();
    call.k = k_.data() + row * a.kv_size();
    call.v = v_.data() + row * a.kv_size();
    if (s.cache != nullptr) {
      std::vector<float>& keys = s.cache->keys[block];
      std::vector<float>& values = s.cache->values[block];
      keys.insert(keys.end(), call.k, call.k + s.tokens * a.kv_size());
      values.insert(values.end(), call.v, call.v + s.tokens * a.kv_size());
      call.k = keys.data();
      call.v = values.data();
      call.first_position = s.cache->positions;
    }
    call.kv_stride = a.kv_size();
    call.tokens = s.tokens;
    call.heads = a.heads;
    call.kv_heads = a.kv_heads;
    call.head_dim = a.head_dim;
    call.window = a.attention[block].window;
    call.chunk = a.attention[block].chunk;
    call.scale = a.scales.attention;
    call.softcap = a.attention_softcap;
    call.sinks = a.sinks ? w.sinks.data() : nullptr;
    calls.push_back(call);
    row += s.tokens;
  }
  kernel::attention(calls);
  if (a.output_gate)
    kernel::sigmoid_multiply(attended, a.q_size(), gates_.data(), a.q_size(), batch.tokens, a.q_size());
  return attended;
}

}  // namespace strata::engine
