// The mixer of Mamba-1: a convolution over time, and a scan of every channel by steps that are made of what the
// convolution gives. transformers: MambaMixer of modeling_mamba.py, FalconMambaMixer of modeling_falcon_mamba.py.
#include "engine/mixers/selective_space.h"

#include <cmath>
#include <vector>

#include "engine/engine.h"
#include "engine/scale.h"
#include "kernel/gates.h"
#include "kernel/ops.h"
#include "model/tensors.h"

namespace strata::engine {

using model::Role;

SelectiveWeights read_selective(const model::Model& model, std::size_t block) {
  const model::Architecture& a = model.architecture();
  const model::SelectiveSpace& s = a.selective;
  const auto read = [&](const char* part, std::size_t count) {
    return model.vector(model::kept_name(a, block, part), count);
  };
  SelectiveWeights w;
  w.convolution = read("conv1d.weight", s.inner * s.kernel);
  w.skip = read("D", s.inner);
  if (s.convolution_bias) w.convolution_bias = read("conv1d.bias", s.inner);
  const std::vector<float> logarithms = read("A_log", s.inner * s.state);
  w.rates.resize(logarithms.size());
  for (std::size_t i = 0; i < s.inner; ++i)
    for (std::size_t n = 0; n < s.state; ++n) w.rates[n * s.inner + i] = -std::exp(logarithms[i * s.state + n]);
  return w;
}

TimeConvolution convolution_of(const SelectiveWeights& w, const model::SelectiveSpace& s, std::size_t block) {
  const float* const bias = w.convolution_bias.empty() ? nullptr : w.convolution_bias.data();
  return {block, w.convolution.data(), bias, s.inner, s.kernel, true};
}

kernel::SelectiveScanWeights scan_of(const SelectiveWeights& w, const model::SelectiveSpace& s) {
  return {.channels = s.inner, .state_dim = s.state, .a = w.rates.data(), .skip = w.skip.data()};
}

void take_parts(const float* dtbc, std::size_t tokens, const model::SelectiveSpace& s, const SelectiveParts& parts) {
  take_columns(dtbc, tokens, s.rows(), 0, s.rank, parts.steps);
  take_columns(dtbc, tokens, s.rows(), s.rank, s.state, parts.b);
  take_columns(dtbc, tokens, s.rows(), s.rank + s.state, s.state, parts.c);
}

void norm_parts(const SelectiveParts& parts, std::size_t tokens, const model::SelectiveSpace& s) {
  if (s.norm_epsilon == 0.0f) return;
  kernel::l2_norm(parts.steps, tokens, s.rank, s.norm_epsilon, parts.steps);
  kernel::l2_norm(parts.b, tokens, s.state, s.norm_epsilon, parts.b);
  kernel::l2_norm(parts.c, tokens, s.state, s.norm_epsilon, parts.c);
}

namespace {

/// out (tokens, inner) of x and the steps dt, likewise; sequences with a cache go on from the state that it holds.
void scan(const Batch& batch, const kernel::SelectiveScanWeights& weights, std::size_t block, const float* x,
          const float* dt, const SelectiveParts& parts, float* out) {
  std::vector<kernel::SelectiveScan> calls;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    float* state = nullptr;
    if (s.cache != nullptr) {
      s.cache->values[block].resize(weights.channels * weights.state_dim);
      state = s.cache->values[block].data();
    }
    calls.push_back({.x = x + row * weights.channels,
                     .dt = dt + row * weights.channels,
                     .b = parts.b + row * weights.state_dim,
                     .c = parts.c + row * weights.state_dim,
                     .stride = weights.state_dim,
                     .state = state,
                     .out = out + row * weights.channels,
                     .tokens = s.tokens});
    row += s.tokens;
  }
  kernel::selective_scan(weights, calls);
}

}  // namespace

const float* Engine::mix_selective(BlockWeights& w, std::size_t block, const Batch& batch, const float* x,
                                   const Observer* observer, Site last) {
  const model::SelectiveSpace& s = architecture_.selective;
  const std::size_t tokens = batch.tokens, size = tokens * s.inner;
  if (!w.selective) w.selective = read_selective(model_, block);
  const float* const both = multiply_fused(w, architecture_.index(block, Role::in_xz), x, tokens);
  float *const convolved = sized(v_, size), *const gate = sized(gates_, size);
  take_columns(both, tokens, 2 * s.inner, s.inner, s.inner, gate);
  convolve(batch, convolution_of(*w.selective, s, block), both, 2 * s.inner, convolved, s.inner);
  observe(observer, Site::dtbc_in, block, convolved, tokens, s.inner);
  if (last == Site::dtbc_in) return nullptr;
  const float* const dtbc = multiply_fused(w, architecture_.index(block, Role::dtbc), convolved, tokens);
  float* const bc = sized(k_, 2 * tokens * s.state);
  const SelectiveParts parts{.steps = sized(q_, tokens * s.rank), .b = bc, .c = bc + tokens * s.state};
  take_parts(dtbc, tokens, s, parts);
  norm_parts(parts, tokens, s);
  observe(observer, Site::dt_in, block, parts.steps, tokens, s.rank);
  if (last == Site::dt_in) return nullptr;
  float* const dt = sized(attended_, size);
  multiply(w, architecture_.index(block, Role::dt), parts.steps, tokens, dt);
  kernel::softplus(dt, size);
  float* const scanned = sized(fused_, size);
  scan(batch, scan_of(*w.selective, s), block, convolved, dt, parts, scanned);
  kernel::silu_multiply(gate, scanned, size);
  return gate;
}

}  // namespace strata::engine
