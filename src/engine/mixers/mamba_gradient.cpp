// Mamba-2 with a backward pass: the counterpart of mamba.cpp for whole sequences.
#include "core/error.h"
#include "engine/mixers/mamba.h"
#include "engine/part_gradient.h"
#include "engine/scale.h"
#include "kernel/convolution.h"
#include "kernel/gates.h"
#include "kernel/state_space.h"

namespace strata::engine {
namespace {

using model::Role;

class MambaGradient final : public PartGradient {
 public:
  MambaGradient(const model::Model& model, std::size_t block)
      : m_(model.architecture().mamba),
        epsilon_(model.architecture().norm_epsilon),
        weights_(read_mamba_weights(model, block)) {}
  std::vector<float> forward(const Batch& batch, BlockProducts& products, std::span<const float> x) override;
  void backward(const Batch& batch, BlockProducts& products, std::span<const float> x, std::vector<float> dy,
                float* dx) override;

 private:
  const float* bias() const { return m_.convolution_bias ? weights_.convolution_bias.data() : nullptr; }
  std::size_t state_rows() const { return m_.groups * m_.state; }

  const model::Mamba& m_;
  float epsilon_;
  MambaWeights weights_;
  std::vector<float> all_;                         ///< (tokens, rows): what in_zxbcdt puts out
  std::vector<float> gate_, convolved_, scanned_;  ///< (tokens, inner), (tokens, channels), (tokens, inner)
};

std::vector<float> MambaGradient::forward(const Batch& batch, BlockProducts& products, std::span<const float> x) {
  const std::size_t tokens = batch.tokens, inner = m_.inner(), channels = m_.channels(), width = m_.rows();
  all_ = products.multiply(Role::in_zxbcdt, x);
  gate_.resize(tokens * inner);
  convolved_.resize(tokens * channels);
  scanned_.resize(tokens * inner);
  take_columns(all_.data(), tokens, width, 0, inner, gate_.data());
  std::vector<kernel::Convolution> convolutions;
  std::vector<kernel::StateSpace> scans;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    STRATA_CHECK(s.cache == nullptr);
    const float* const from = all_.data() + row * width;
    float* const xbc = convolved_.data() + row * channels;
    convolutions.push_back({.x = from + inner,
                            .x_stride = width,
                            .weight = weights_.convolution.data(),
                            .bias = bias(),
                            .state = nullptr,
                            .out = xbc,
                            .out_stride = channels,
                            .tokens = s.tokens,
                            .channels = channels,
                            .kernel = m_.kernel,
                            .silu = true});
    scans.push_back({.x = xbc,
                     .b = xbc + inner,
                     .c = xbc + inner + state_rows(),
                     .stride = channels,
                     .dt = from + inner + channels,
                     .dt_stride = width,
                     .state = nullptr,
                     .out = scanned_.data() + row * inner,
                     .out_stride = inner,
                     .tokens = s.tokens});
    row += s.tokens;
  }
  kernel::convolution(convolutions);
  kernel::state_space(scan_weights(m_, weights_), scans);
  std::vector<float> mixed(scanned_.size());
  kernel::gate_then_norm(scanned_.data(), weights_.norm.data(), gate_.data(), tokens, m_.groups, inner / m_.groups,
                         epsilon_, mixed.data());
  return mixed;
}

void MambaGradient::backward(const Batch& batch, BlockProducts& products, std::span<const float> x,
                             std::vector<float> dy, float* dx) {
  const std::size_t tokens = batch.tokens, inner = m_.inner(), channels = m_.channels(), width = m_.rows();
  std::vector<float> dall(all_.size()), dxbc(convolved_.size()), dgate(gate_.size());
  kernel::gate_then_norm_gradient(scanned_.data(), weights_.norm.data(), gate_.data(), dy.data(), tokens, m_.groups,
                                  inner / m_.groups, epsilon_, dy.data(), dgate.data(), nullptr);
  put_columns(dgate.data(), tokens, width, 0, inner, dall.data());
  std::vector<kernel::ConvolutionGradient> convolutions;
  std::vector<kernel::StateSpaceGradient> scans;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    const float *const from = all_.data() + row * width, *const xbc = convolved_.data() + row * channels;
    float *const to = dall.data() + row * width, *const d = dxbc.data() + row * channels;
    scans.push_back({.x = xbc,
                     .b = xbc + inner,
                     .c = xbc + inner + state_rows(),
                     .stride = channels,
                     .dt = from + inner + channels,
                     .dt_stride = width,
                     .dout = dy.data() + row * inner,
                     .dx = d,
                     .db = d + inner,
                     .dc = d + inner + state_rows(),
                     .ddt = to + inner + channels,
                     .tokens = s.tokens});
    convolutions.push_back({.x = from + inner,
                            .x_stride = width,
                            .weight = weights_.convolution.data(),
                            .bias = bias(),
                            .dout = d,
                            .dout_stride = channels,
                            .dx = to + inner,
                            .dx_stride = width,
                            .tokens = s.tokens,
                            .channels = channels,
                            .kernel = m_.kernel,
                            .silu = true});
    row += s.tokens;
  }
  kernel::state_space_gradient(scan_weights(m_, weights_), scans);
  kernel::convolution_gradient(convolutions);
  products.gradient(Role::in_zxbcdt, dall, x, dx);
}

}  // namespace

std::unique_ptr<PartGradient> make_mamba_gradient(const model::Model& model, std::size_t block) {
  return std::make_unique<MambaGradient>(model, block);
}

}  // namespace strata::engine
