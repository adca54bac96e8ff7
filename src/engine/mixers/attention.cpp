// The attention mixer: what a block's o reads, made from its normed input, with or without a key-value cache.
// Heads are clipped, normed, turned and scaled as the Architecture says; transformers: modeling_llama.py and its kin.
#include <algorithm>

#include "engine/engine.h"
#include "engine/mixers/heads.h"
#include "engine/mixers/output_gate.h"
#include "engine/modes.h"
#include "engine/scale.h"
#include "kernel/ops.h"

namespace strata::engine {

using model::Norm;
using model::Role;

namespace {

/// New keys and values of a block, (tokens, kv_size), of all sequences of a batch.
struct NewKeys {
  const float *k, *v;
};

/// Appends a sequence's new keys and values of a block to its cache. k, v: (tokens, heads * dim).
void keep_keys(KvCache& cache, std::size_t block, const NewKeys& made, std::size_t tokens, std::size_t heads,
               std::size_t dim) {
  if (cache.is_short()) {
    cache.short_keys[block].append(made.k, tokens, heads, dim);
    cache.short_values[block].append(made.v, tokens, heads, dim);
    return;
  }
  const std::size_t count = tokens * heads * dim;
  cache.keys[block].insert(cache.keys[block].end(), made.k, made.k + count);
  cache.values[block].insert(cache.values[block].end(), made.v, made.v + count);
}

/// A call with the keys and values of a sequence whose rows begin at `row`: its new ones, appended to its cache where
/// it has one, or those of the earlier block that this block reads.
kernel::Attention call_with_keys(const model::Architecture& a, std::size_t block, const Batch& batch, const Sequence& s,
                                 std::size_t row, const NewKeys& made) {
  const bool own = a.attention[block].keys_of == model::kOwnKeys;
  const std::size_t from = own ? block : a.attention[block].keys_of, size = a.kv_size(from);
  kernel::Attention call{};
  call.kv_stride = size;
  if (s.cache != nullptr) {
    KvCache& cache = *s.cache;
    const std::size_t heads = a.kv_heads_of(a.attention[from]);
    if (own) keep_keys(cache, block, {made.k + row * size, made.v + row * size}, s.tokens, heads, size / heads);
    if (cache.is_short()) {
      call.short_k = cache.short_keys[from].data();
      call.short_v = cache.short_values[from].data();
      call.short_capacity = cache.short_keys[from].capacity();
    } else {
      call.k = cache.keys[from].data();
      call.v = cache.values[from].data();
    }
    call.first_position = s.cache->positions;
  } else if (own) {
    call.k = made.k + row * size;
    call.v = made.v + row * size;
  } else {
    STRATA_CHECK(batch.shared != nullptr, "block {} reads keys of block {}", block, from);
    call.k = batch.shared + row * a.shared_size + a.attention[from].shared_at;
    call.v = call.k + size;
    call.kv_stride = a.shared_size;
  }
  return call;
}

/// Leaves the keys and values of a block to later ones that read them.
void leave_keys(const model::Architecture& a, std::size_t block, const Batch& batch, const NewKeys& made) {
  const std::size_t at = a.attention[block].shared_at, size = a.kv_size(block);
  if (at == model::kNotShared || batch.shared == nullptr) return;
  put_columns(made.k, batch.tokens, a.shared_size, at, size, batch.shared);
  put_columns(made.v, batch.tokens, a.shared_size, at + size, size, batch.shared);
}

}  // namespace

void Engine::make_heads(BlockWeights& w, std::size_t block, const float* x, std::size_t tokens) {
  const model::Architecture& a = architecture_;
  const model::BlockAttention& of = a.attention[block];
  const bool own_keys = of.keys_of == model::kOwnKeys;
  const std::size_t q_size = a.q_size(block), kv_size = a.kv_size(block), head_dim = a.head_size(of);
  float *const q = sized(q_, tokens * q_size), *const k = sized(k_, tokens * kv_size),
               *const v = sized(v_, tokens * kv_size);
  if (a.has(block, Role::qkv)) {
    const float* all = multiply_fused(w, a.index(block, Role::qkv), x, tokens);
    const std::size_t stretches = a.qkv_stretches(block), rows = tokens * stretches;
    const std::size_t queries = q_size / stretches, keys = kv_size / stretches, width = queries + 2 * keys;
    take_columns(all, rows, width, 0, queries, q);
    take_columns(all, rows, width, queries, keys, k);
    take_columns(all, rows, width, queries + keys, keys, v);
  } else {
    if (a.output_gate == model::OutputGate::in_q) {
      // Every head of q has its gate behind it.
      const float* both = multiply_fused(w, a.index(block, Role::q), x, tokens);
      const std::size_t heads = tokens * a.heads_of(of);
      take_columns(both, heads, 2 * head_dim, 0, head_dim, q);
      take_columns(both, heads, 2 * head_dim, head_dim, head_dim, sized(gates_, tokens * q_size));
    } else {
      multiply(w, a.index(block, Role::q), x, tokens, q);
    }
    if (own_keys) multiply(w, a.index(block, Role::k), x, tokens, k);
    if (own_keys && !of.k_is_v) multiply(w, a.index(block, Role::v), x, tokens, v);
    if (own_keys && of.k_is_v) std::copy_n(k, tokens * kv_size, v);
  }
  if (a.output_gate == model::OutputGate::apart) {
    const std::size_t gate = a.index(block, Role::out_gate);
    multiply(w, gate, x, tokens, sized(gates_, tokens * a.linears[gate].rows));
  }
  if (a.clip_qkv != 0.0f) kernel::clamp(v, tokens * kv_size, a.clip_qkv);
  if (a.v_norm && own_keys) kernel::l2_norm(v, tokens * a.kv_heads_of(of), head_dim, a.norm_epsilon, v);
}

void Engine::prepare_heads(const BlockWeights& w, std::size_t block, const Batch& batch, Norm norm, std::size_t heads,
                           float* rows) const {
  const auto it = w.norms.find(norm);
  engine::prepare_heads(architecture_, architecture_.attention[block], batch, norm,
                        it == w.norms.end() ? nullptr : it->second.data(), heads, rows);
}

const float* Engine::mix_attention(BlockWeights& w, std::size_t block, const Batch& batch, const float* x,
                                   const Observer*, Site) {
  const model::Architecture& a = architecture_;
  const model::BlockAttention& of = a.attention[block];
  const std::size_t q_size = a.q_size(block), kv_heads = a.kv_heads_of(of);
  make_heads(w, block, x, batch.tokens);
  prepare_heads(w, block, batch, Norm::q, a.heads_of(of), q_.data());
  if (of.keys_of == model::kOwnKeys) {
    prepare_heads(w, block, batch, Norm::k, kv_heads, k_.data());
    if (cache_use_ != nullptr) cache_use_->take(block, batch.tokens, a.kv_size(block), k_.data(), v_.data());
    leave_keys(a, block, batch, {k_.data(), v_.data()});
  }
  float* const attended = sized(attended_, batch.tokens * q_size);
  const std::vector<float> slopes = alibi_slopes(a);
  std::vector<kernel::Attention> calls;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    kernel::Attention call = call_with_keys(a, block, batch, s, row, {k_.data(), v_.data()});
    call.q = q_.data() + row * q_size;
    call.q_stride = call.out_stride = q_size;
    call.out = attended + row * q_size;
    call.tokens = s.tokens;
    call.heads = a.heads_of(of);
    call.kv_heads = kv_heads;
    call.head_dim = a.head_size(of);
    call.window = of.window;
    call.chunk = of.chunk;
    call.scale = a.scales.attention;
    call.softcap = a.attention_softcap;
    call.sinks = a.sinks ? w.sinks.data() : nullptr;
    call.slopes = slopes.empty() ? nullptr : slopes.data();
    calls.push_back(call);
    row += s.tokens;
  }
  kernel::attention(calls);
  if (a.output_gate != model::OutputGate::none) apply_gates(a, block, batch.tokens, gates_.data(), attended);
  return attended;
}

}  // namespace strata::engine
