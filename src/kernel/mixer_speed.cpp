// The speed of the scans beside attention, by inputs whose results are known in closed form.
// What counts as an operation: the products of chunks of 64, as far as their masks leave them.
#include <cmath>
#include <random>
#include <vector>

#include "core/error.h"
#include "kernel/delta_rule.h"
#include "kernel/peaks.h"
#include "kernel/scan.h"
#include "kernel/state_space.h"

namespace strata::kernel {

/// A token whose beta is 1 leaves a state that gives its value for its key, whatever was before: with queries equal to
/// keys and values of 1, every output is 1 / sqrt(k_dim).
KernelFigure measure_delta_rule(std::size_t tokens, std::size_t k_heads, std::size_t v_heads, std::size_t head_dim,
                                double seconds) {
  const std::size_t keys = k_heads * head_dim, values = v_heads * head_dim, stride = keys + values;
  std::mt19937 random(1);
  std::vector<float> kv(tokens * stride, 1.0f), out(tokens * values), decay(tokens * v_heads);
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t i = 0; i < keys; ++i) kv[t * stride + i] = static_cast<float>(random() % 2001u) / 1000.0f - 1.0f;
  for (float& d : decay) d = -static_cast<float>(random() % 1001u) / 1000.0f;
  const std::vector<float> beta(decay.size(), 1.0f);
  const DeltaRule call{kv.data(),  kv.data(), kv.data() + keys, stride,  decay.data(), beta.data(), nullptr,
                       out.data(), values,    tokens,           k_heads, v_heads,      head_dim,    head_dim};
  const auto run = [&] { delta_rule({&call, 1}); };
  run();
  const float want = 1.0f / std::sqrt(static_cast<float>(head_dim));
  for (const float o : out) STRATA_CHECK(std::abs(o - want) < 1e-4f, "the delta rule gives {} instead of {}", o, want);
  const double operations = 2.0 * static_cast<double>(tokens * values * (2 * kChunkTokens + 3 * head_dim));
  return measure_work(fmt::format("delta rule {}/{} heads of {}", v_heads, k_heads, head_dim), tokens, Precision::f32,
                      operations, run, seconds);
}

/// Of steps of log 2, what halves a state when a is -1: with inputs of 1, output t is 2 log 2 (1 - 2^-(t + 1)).
KernelFigure measure_state_space(std::size_t tokens, std::size_t heads, std::size_t groups, std::size_t head_dim,
                                 std::size_t state_dim, double seconds) {
  const std::size_t size = heads * head_dim, shared = groups * state_dim, stride = size + shared;
  std::vector<float> xb(tokens * stride, 1.0f), out(tokens * size);
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t i = size; i < stride; ++i) xb[t * stride + i] = 1.0f / std::sqrt(static_cast<float>(state_dim));
  const std::vector<float> a(heads, -1.0f), dt(tokens * heads, 0.0f);
  const StateSpaceWeights weights{heads, groups, head_dim, state_dim, a.data(), nullptr, nullptr};
  const StateSpace call{xb.data(), xb.data() + size, xb.data() + size, stride, dt.data(),
                        heads,     nullptr,          out.data(),       size,   tokens};
  const auto run = [&] { state_space(weights, {&call, 1}); };
  run();
  for (std::size_t i = 0; i < out.size(); ++i) {
    const double want = 2.0 * std::log(2.0) * (1.0 - std::exp2(-static_cast<double>(i / size + 1)));
    STRATA_CHECK(std::abs(static_cast<double>(out[i]) - want) < 1e-4, "the scan gives {} instead of {}", out[i], want);
  }
  const double operations = 2.0 * static_cast<double>(tokens * (size * (kChunkTokens / 2 + 2 * state_dim) +
                                                                groups * state_dim * (kChunkTokens / 2)));
  return measure_work(fmt::format("Mamba-2 {} heads of {}x{}", heads, head_dim, state_dim), tokens, Precision::f32,
                      operations, run, seconds);
}

}  // namespace strata::kernel
