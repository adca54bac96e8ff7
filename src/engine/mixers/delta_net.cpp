// The mixer of gated delta nets: a convolution over time, then a state a head that forgets and is corrected by every
// token. arXiv 2412.06464; transformers: Qwen3NextGatedDeltaNet of modeling_qwen3_next.py, modeling_qwen3_5.py,
// OlmoHybridGatedDeltaNet of modeling_olmo_hybrid.py.
#include "model/mixers/delta_net.h"

#include "engine/engine.h"
#include "engine/mixers/convolve.h"
#include "engine/mixers/delta_rows.h"
#include "engine/scale.h"
#include "kernel/delta_rule.h"
#include "kernel/gates.h"

namespace strata::engine {

using model::Role;

void Engine::read_delta(BlockWeights& w, std::size_t block, const float* x, std::size_t tokens, DeltaRows& rows) {
  const model::Architecture& a = architecture_;
  const model::DeltaNet& d = a.delta;
  if (!d.by_key_heads) {
    for (const model::DeltaStretch& part : model::delta_stretches(d)) {
      const std::size_t linear = a.index(block, part.role);
      if (!d.apart)
        multiply(w, linear, x, tokens, rows.qkv.data());
      else
        put_columns(multiply_fused(w, linear, x, tokens), tokens, d.channels(), part.first, part.size, rows.qkv.data());
    }
    multiply(w, a.index(block, Role::in_z), x, tokens, rows.z.data());
    multiply(w, a.index(block, Role::in_b), x, tokens, rows.beta.data());
    multiply(w, a.index(block, Role::in_a), x, tokens, rows.decay.data());
    return;
  }
  take_qkvz(d, multiply_fused(w, a.index(block, Role::in_qkvz), x, tokens), tokens, rows);
  take_ba(d, multiply_fused(w, a.index(block, Role::in_ba), x, tokens), tokens, rows);
}

const float* Engine::mix_delta(BlockWeights& w, std::size_t block, const Batch& batch, const float* x, const Observer*,
                               Site) {
  const model::DeltaNet& d = architecture_.delta;
  if (!w.delta) w.delta = read_delta_weights(model_, block);
  const std::size_t tokens = batch.tokens, keys = d.keys();
  DeltaRows rows(d, tokens);
  read_delta(w, block, x, tokens, rows);
  make_gates(d, *w.delta, rows);
  float* const mixed = sized(attended_, tokens * d.values());
  float* const turned = sized(k_, tokens * d.channels());  // the convolution's rows
  convolve(batch, {block, w.delta->convolution.data(), nullptr, d.channels(), d.kernel, true}, rows.qkv.data(),
           d.channels(), turned, d.channels());
  std::vector<kernel::DeltaRule> rules;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    float* state = nullptr;
    if (s.cache != nullptr) {
      s.cache->values[block].resize(d.key_size * d.values());
      state = s.cache->values[block].data();
    }
    const float* const out = turned + row * d.channels();
    rules.push_back({out, out + keys, out + 2 * keys, d.channels(), rows.decay.data() + row * d.value_heads,
                     rows.beta.data() + row * d.value_heads, state, mixed + row * d.values(), d.values(), s.tokens,
                     d.key_heads, d.value_heads, d.key_size, d.value_size, d.tiled});
    row += s.tokens;
  }
  kernel::delta_rule(rules);
  kernel::norm_then_gate(mixed, w.delta->norm.data(), rows.z.data(), tokens * d.value_heads, d.value_size,
                         d.norm_epsilon, mixed);
  return mixed;
}

}  // namespace strata::engine
