// The mixer of gated delta nets: a convolution over time, then a state a head that forgets and is corrected by every
// token. arXiv 2412.06464; transformers: Qwen3NextGatedDeltaNet of modeling_qwen3_next.py, modeling_qwen3_5.py.
#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "core/threads.h"
#include "engine/engine.h"
#include "kernel/convolution.h"
#include "kernel/delta_rule.h"
#include "kernel/gates.h"
#include "model/tensors.h"

namespace strata::engine {

using model::Role;

namespace {

/// Rows of a matrix that holds several values of every key head together, taken apart: `parts` are their sizes of one
/// key head, and `to` where they go, (tokens, key_heads * size) with rows `stride` apart.
struct Part {
  std::size_t size;
  float* to;
  std::size_t stride;
};
void take_apart(const float* from, std::size_t tokens, std::size_t key_heads, std::span<const Part> parts) {
  std::size_t width = 0;
  for (const Part& part : parts) width += part.size;
  parallel_for(tokens, [&](std::size_t t) {
    const float* at = from + t * key_heads * width;
    for (std::size_t h = 0; h < key_heads; ++h)
      for (const Part& part : parts) {
        std::copy_n(at, part.size, part.to + t * part.stride + h * part.size);
        at += part.size;
      }
  });
}

}  // namespace

/// What a delta net makes of its input for a batch.
struct Engine::DeltaRows {
  explicit DeltaRows(const model::DeltaNet& d, std::size_t tokens)
      : qkv(tokens * d.channels()), z(tokens * d.values()), beta(tokens * d.value_heads), decay(beta.size()) {}
  std::vector<float> qkv;          ///< (tokens, channels)
  std::vector<float> z;            ///< (tokens, values)
  std::vector<float> beta, decay;  ///< (tokens, value_heads), before their functions
};

DeltaWeights Engine::delta_weights(std::size_t block) const {
  const model::DeltaNet& d = architecture_.delta;
  const auto read = [&](const char* part, std::size_t size) {
    return model_.vector(model::delta_name(architecture_, block, part), size);
  };
  DeltaWeights w{read("conv1d.weight", d.channels() * d.kernel), read("A_log", d.value_heads),
                 read("dt_bias", d.value_heads), read("norm.weight", d.value_size)};
  for (float& rate : w.rates) rate = -std::exp(rate);
  return w;
}

void Engine::read_delta(BlockWeights& w, std::size_t block, const float* x, std::size_t tokens, DeltaRows& rows) {
  const model::Architecture& a = architecture_;
  const model::DeltaNet& d = a.delta;
  if (!d.by_key_heads) {
    multiply(w, a.index(block, Role::in_qkv), x, tokens, rows.qkv.data());
    multiply(w, a.index(block, Role::in_z), x, tokens, rows.z.data());
    multiply(w, a.index(block, Role::in_b), x, tokens, rows.beta.data());
    multiply(w, a.index(block, Role::in_a), x, tokens, rows.decay.data());
    return;
  }
  const std::size_t keys = d.key_heads * d.key_size, share = d.value_heads / d.key_heads;
  float* const qkv = rows.qkv.data();
  const std::size_t values = share * d.value_size, width = d.channels();
  take_apart(multiply_fused(w, a.index(block, Role::in_qkvz), x, tokens), tokens, d.key_heads,
             std::array{Part{d.key_size, qkv, width}, Part{d.key_size, qkv + keys, width},
                        Part{values, qkv + 2 * keys, width}, Part{values, rows.z.data(), d.values()}});
  take_apart(multiply_fused(w, a.index(block, Role::in_ba), x, tokens), tokens, d.key_heads,
             std::array{Part{share, rows.beta.data(), d.value_heads}, Part{share, rows.decay.data(), d.value_heads}});
}

const float* Engine::mix_delta(BlockWeights& w, std::size_t block, const Batch& batch, const float* x) {
  const model::DeltaNet& d = architecture_.delta;
  if (!w.delta) w.delta = delta_weights(block);
  const std::size_t tokens = batch.tokens, keys = d.key_heads * d.key_size;
  DeltaRows rows(d, tokens);
  read_delta(w, block, x, tokens, rows);
  kernel::sigmoid(rows.beta.data(), rows.beta.size());
  for (std::size_t i = 0; i < rows.decay.size(); ++i) rows.decay[i] += w.delta->dt_bias[i % d.value_heads];
  kernel::softplus(rows.decay.data(), rows.decay.size());
  for (std::size_t i = 0; i < rows.decay.size(); ++i) rows.decay[i] *= w.delta->rates[i % d.value_heads];
  float* const mixed = sized(attended_, tokens * d.values());
  float* const turned = sized(k_, tokens * d.channels());  // the convolution's rows
  std::vector<kernel::Convolution> convolutions;
  std::vector<kernel::DeltaRule> rules;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    float *window = nullptr, *state = nullptr;
    if (s.cache != nullptr) {
      s.cache->keys[block].resize((d.kernel - 1) * d.channels());
      s.cache->values[block].resize(d.key_size * d.values());
      window = s.cache->keys[block].data();
      state = s.cache->values[block].data();
    }
    float* const out = turned + row * d.channels();
    convolutions.push_back({rows.qkv.data() + row * d.channels(), d.channels(), w.delta->convolution.data(), nullptr,
                            window, out, d.channels(), s.tokens, d.channels(), d.kernel, true});
    rules.push_back({out, out + keys, out + 2 * keys, d.channels(), rows.decay.data() + row * d.value_heads,
                     rows.beta.data() + row * d.value_heads, state, mixed + row * d.values(), d.values(), s.tokens,
                     d.key_heads, d.value_heads, d.key_size, d.value_size, d.tiled});
    row += s.tokens;
  }
  kernel::convolution(convolutions);
  kernel::delta_rule(rules);
  kernel::norm_then_gate(mixed, w.delta->norm.data(), rows.z.data(), tokens * d.value_heads, d.value_size,
                         architecture_.norm_epsilon, mixed);
  return mixed;
}

}  // namespace strata::engine
