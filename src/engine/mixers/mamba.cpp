// The mixer of Mamba-2: a convolution over time, then a state a head that forgets and takes in every token.
// arXiv 2405.21060; transformers: NemotronHMamba2Mixer of modeling_nemotron_h.py.
#include "engine/mixers/mamba.h"

#include <cmath>

#include "engine/engine.h"
#include "engine/mixers/convolve.h"
#include "engine/scale.h"
#include "kernel/gates.h"
#include "kernel/state_space.h"
#include "model/tensors.h"

namespace strata::engine {

MambaWeights read_mamba_weights(const model::Model& model, std::size_t block) {
  const model::Architecture& a = model.architecture();
  const model::Mamba& m = a.mamba;
  const auto read = [&](const char* part, std::size_t size) {
    return model.vector(model::kept_name(a, block, part), size);
  };
  MambaWeights w{.convolution = read("conv1d.weight", m.channels() * m.kernel),
                 .convolution_bias = {},
                 .rates = read("A_log", m.heads),
                 .skip = read("D", m.heads),
                 .dt_bias = read("dt_bias", m.heads),
                 .norm = read("norm.weight", m.inner())};
  if (m.convolution_bias) w.convolution_bias = read("conv1d.bias", m.channels());
  for (float& rate : w.rates) rate = -std::exp(rate);
  return w;
}

kernel::StateSpaceWeights scan_weights(const model::Mamba& m, const MambaWeights& w) {
  return {m.heads,       m.groups,         m.head_dim,   m.state,    w.rates.data(),
          w.skip.data(), w.dt_bias.data(), m.least_step, m.most_step};
}

const float* Engine::mix_mamba(BlockWeights& w, std::size_t block, const Batch& batch, const float* x, const Observer*,
                               Site) {
  const model::Mamba& m = architecture_.mamba;
  if (!w.mamba) w.mamba = read_mamba_weights(model_, block);
  const std::size_t tokens = batch.tokens, inner = m.inner(), channels = m.channels(), width = m.rows();
  const float* all = multiply_fused(w, architecture_.index(block, model::Role::in_zxbcdt), x, tokens);
  float* const turned = sized(k_, tokens * channels);  // the convolution's rows: x, b and c
  float* const mixed = sized(attended_, tokens * inner);
  const float* const bias = m.convolution_bias ? w.mamba->convolution_bias.data() : nullptr;
  convolve(batch, {block, w.mamba->convolution.data(), bias, channels, m.kernel, true}, all + inner, width, turned,
           channels);
  std::vector<kernel::StateSpace> scans;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    float* state = nullptr;
    if (s.cache != nullptr) {
      s.cache->values[block].resize(inner * m.state);
      state = s.cache->values[block].data();
    }
    const float* const from = all + row * width;
    const float* const xbc = turned + row * channels;
    scans.push_back({xbc, xbc + inner, xbc + inner + m.groups * m.state, channels, from + inner + channels, width,
                     state, mixed + row * inner, inner, s.tokens});
    row += s.tokens;
  }
  kernel::state_space(scan_weights(m, *w.mamba), scans);
  float* const gate = sized(v_, tokens * inner);
  take_columns(all, tokens, width, 0, inner, gate);
  kernel::gate_then_norm(mixed, w.mamba->norm.data(), gate, tokens, m.groups, inner / m.groups,
                         architecture_.norm_epsilon, mixed);
  return mixed;
}

}  // namespace strata::engine
