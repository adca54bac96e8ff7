// The sigmoid of a gate for every value is one operation of the kernels; the other forms are made of several.
#include "engine/mixers/output_gate.h"

#include <algorithm>
#include <vector>

#include "core/threads.h"
#include "kernel/gates.h"
#include "kernel/ops.h"

namespace strata::engine {
namespace {

/// What a gate multiplies: a head, or a single value.
struct Gated {
  std::size_t count, size;
};

Gated gated(const model::Architecture& a, std::size_t block, std::size_t tokens) {
  const model::BlockAttention& of = a.attention[block];
  if (a.gate_by_head) return {tokens * a.heads_of(of), a.head_size(of)};
  return {tokens * a.q_size(block), 1};
}

/// What gates multiply by.
std::vector<float> factors_of(const model::Architecture& a, const float* gates, std::size_t count) {
  std::vector<float> factors(gates, gates + count);
  if (a.gate_softplus)
    kernel::softplus(factors.data(), count);
  else
    kernel::sigmoid(factors.data(), count);
  return factors;
}

/// rows (count, size) of heads, or values, times their factors.
void multiply_by(const Gated& of, const float* factors, float* rows) {
  if (of.size == 1)
    kernel::multiply(rows, factors, of.count, rows);
  else
    kernel::scale_rows(rows, of.size, of.count, of.size, factors);
}

}  // namespace

void apply_gates(const model::Architecture& a, std::size_t block, std::size_t tokens, const float* gates,
                 float* attended) {
  const std::size_t size = a.q_size(block);
  if (!a.gate_by_head && !a.gate_softplus) return kernel::sigmoid_multiply(attended, size, gates, size, tokens, size);
  const Gated of = gated(a, block, tokens);
  multiply_by(of, factors_of(a, gates, of.count).data(), attended);
}

void gates_gradient(const model::Architecture& a, std::size_t block, std::size_t tokens, const float* dy, float* gates,
                    float* attended) {
  const std::size_t size = a.q_size(block);
  if (!a.gate_by_head && !a.gate_softplus)
    return kernel::sigmoid_multiply_gradient(attended, size, gates, size, dy, tokens, size);
  const Gated of = gated(a, block, tokens);
  const std::vector<float> factors = factors_of(a, gates, of.count);
  std::vector<float> dfactors(of.count);
  parallel_for(of.count, [&](std::size_t i) {
    double sum = 0.0;
    for (std::size_t c = i * of.size; c < (i + 1) * of.size; ++c)
      sum += static_cast<double>(dy[c]) * static_cast<double>(attended[c]);
    dfactors[i] = static_cast<float>(sum);
  });
  if (a.gate_softplus)
    kernel::softplus_gradient(gates, of.count, dfactors.data());
  else
    kernel::sigmoid_gradient(factors.data(), of.count, dfactors.data());
  std::copy_n(dfactors.begin(), of.count, gates);
  std::copy_n(dy, tokens * size, attended);
  multiply_by(of, factors.data(), attended);
}

}  // namespace strata::engine
