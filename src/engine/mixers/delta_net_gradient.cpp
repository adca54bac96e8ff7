// A gated delta net with a backward pass: the counterpart of delta_net.cpp for whole sequences.
#include <utility>

#include "core/error.h"
#include "engine/mixers/convolve.h"
#include "engine/mixers/delta_rows.h"
#include "engine/part_gradient.h"
#include "engine/scale.h"
#include "kernel/delta_rule.h"
#include "kernel/gates.h"
#include "model/mixers/delta_net.h"

namespace strata::engine {
namespace {

using model::Role;

class DeltaNetGradient final : public PartGradient {
 public:
  DeltaNetGradient(const model::Model& model, std::size_t block)
      : block_(block), d_(model.architecture().delta), weights_(read_delta_weights(model, block)) {}
  std::vector<float> forward(const Batch& batch, BlockProducts& products, std::span<const float> x) override;
  void backward(const Batch& batch, BlockProducts& products, std::span<const float> x, std::vector<float> dy,
                float* dx) override;

 private:
  void read(BlockProducts& products, std::span<const float> x, std::size_t tokens);
  void read_backward(BlockProducts& products, std::span<const float> x, std::size_t tokens, DeltaRows& d, float* dx);
  TimeConvolution convolution() const {
    return {block_, weights_.convolution.data(), nullptr, d_.channels(), d_.kernel, true};
  }

  std::size_t block_;
  const model::DeltaNet& d_;
  DeltaWeights weights_;
  DeltaRows rows_;                        ///< with beta and decay as the delta rule reads them
  std::vector<float> steps_;              ///< (tokens, value_heads): what softplus reads
  std::vector<float> convolved_, ruled_;  ///< (tokens, channels), (tokens, values): of the convolution and the rule
};

void DeltaNetGradient::read(BlockProducts& products, std::span<const float> x, std::size_t tokens) {
  rows_ = DeltaRows(d_, tokens);
  if (d_.by_key_heads) {
    take_qkvz(d_, products.multiply(Role::in_qkvz, x).data(), tokens, rows_);
    take_ba(d_, products.multiply(Role::in_ba, x).data(), tokens, rows_);
  } else {
    for (const model::DeltaStretch& part : model::delta_stretches(d_))
      put_columns(products.multiply(part.role, x).data(), tokens, d_.channels(), part.first, part.size,
                  rows_.qkv.data());
    rows_.z = products.multiply(Role::in_z, x);
    rows_.beta = products.multiply(Role::in_b, x);
    rows_.decay = products.multiply(Role::in_a, x);
  }
  make_gates(d_, weights_, rows_, &steps_);
}

std::vector<float> DeltaNetGradient::forward(const Batch& batch, BlockProducts& products, std::span<const float> x) {
  const std::size_t tokens = batch.tokens, channels = d_.channels(), values = d_.values();
  read(products, x, tokens);
  convolved_.resize(tokens * channels);
  ruled_.resize(tokens * values);
  convolve(batch, convolution(), rows_.qkv.data(), channels, convolved_.data(), channels);
  std::vector<kernel::DeltaRule> rules;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    STRATA_CHECK(s.cache == nullptr);
    const float* const turned = convolved_.data() + row * channels;
    rules.push_back({.q = turned,
                     .k = turned + d_.keys(),
                     .v = turned + 2 * d_.keys(),
                     .stride = channels,
                     .decay = rows_.decay.data() + row * d_.value_heads,
                     .beta = rows_.beta.data() + row * d_.value_heads,
                     .state = nullptr,
                     .out = ruled_.data() + row * values,
                     .out_stride = values,
                     .tokens = s.tokens,
                     .k_heads = d_.key_heads,
                     .v_heads = d_.value_heads,
                     .k_dim = d_.key_size,
                     .v_dim = d_.value_size,
                     .tiled = d_.tiled});
    row += s.tokens;
  }
  kernel::delta_rule(rules);
  std::vector<float> mixed(ruled_.size());
  kernel::norm_then_gate(ruled_.data(), weights_.norm.data(), rows_.z.data(), tokens * d_.value_heads, d_.value_size,
                         d_.norm_epsilon, mixed.data());
  return mixed;
}

void DeltaNetGradient::backward(const Batch& batch, BlockProducts& products, std::span<const float> x,
                                std::vector<float> dy, float* dx) {
  const std::size_t tokens = batch.tokens, channels = d_.channels(), values = d_.values();
  DeltaRows d(d_, tokens);
  kernel::norm_then_gate_gradient(ruled_.data(), weights_.norm.data(), rows_.z.data(), dy.data(),
                                  tokens * d_.value_heads, d_.value_size, d_.norm_epsilon, dy.data(), d.z.data(),
                                  nullptr);
  std::vector<kernel::DeltaRuleGradient> rules;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    const float* const turned = convolved_.data() + row * channels;
    float* const dturned = d.qkv.data() + row * channels;
    const std::size_t gates = row * d_.value_heads;
    rules.push_back({.q = turned,
                     .k = turned + d_.keys(),
                     .v = turned + 2 * d_.keys(),
                     .stride = channels,
                     .decay = rows_.decay.data() + gates,
                     .beta = rows_.beta.data() + gates,
                     .dout = dy.data() + row * values,
                     .dq = dturned,
                     .dk = dturned + d_.keys(),
                     .dv = dturned + 2 * d_.keys(),
                     .ddecay = d.decay.data() + gates,
                     .dbeta = d.beta.data() + gates,
                     .tokens = s.tokens,
                     .k_heads = d_.key_heads,
                     .v_heads = d_.value_heads,
                     .k_dim = d_.key_size,
                     .v_dim = d_.value_size,
                     .tiled = d_.tiled});
    row += s.tokens;
  }
  kernel::delta_rule_gradient(rules);
  convolve_gradient(batch, convolution(), rows_.qkv.data(), channels, d.qkv.data(), channels, d.qkv.data(), channels);
  make_gates_gradient(d_, weights_, rows_, steps_, d);
  read_backward(products, x, tokens, d, dx);
}

void DeltaNetGradient::read_backward(BlockProducts& products, std::span<const float> x, std::size_t tokens,
                                     DeltaRows& d, float* dx) {
  if (d_.by_key_heads) {
    products.gradient(Role::in_qkvz, put_qkvz(d_, tokens, d), x, dx);
    products.gradient(Role::in_ba, put_ba(d_, tokens, d), x, dx);
    return;
  }
  for (const model::DeltaStretch& part : model::delta_stretches(d_)) {
    std::vector<float> own(tokens * part.size);
    take_columns(d.qkv.data(), tokens, d_.channels(), part.first, part.size, own.data());
    products.gradient(part.role, own, x, dx);
  }
  products.gradient(Role::in_z, d.z, x, dx);
  products.gradient(Role::in_b, d.beta, x, dx);
  products.gradient(Role::in_a, d.decay, x, dx);
}

}  // namespace

std::unique_ptr<PartGradient> make_delta_net_gradient(const model::Model& model, std::size_t block) {
  return std::make_unique<DeltaNetGradient>(model, block);
}

}  // namespace strata::engine
