// Mamba-2 with a backward pass: the counterpart of mamba.cpp for whole sequences.
#include "core/error.h"
#include "engine/mixers/convolve.h"
#include "engine/mixers/mamba.h"
#include "engine/part_gradient.h"
#include "engine/scale.h"
#include "kernel/gates.h"
#include "kernel/state_space.h"

namespace strata::engine {
namespace {

using model::Role;

class MambaGradient final : public PartGradient {
 public:
  MambaGradient(const model::Model& model, std::size_t block)
      : block_(block),
        m_(model.architecture().mamba),
        epsilon_(model.architecture().norm_epsilon),
        weights_(read_mamba_weights(model, block)) {}
  std::vector<float> forward(const Batch& batch, BlockProducts& products, std::span<const float> x) override;
  void backward(const Batch& batch, BlockProducts& products, std::span<const float> x, std::vector<float> dy,
                float* dx) override;

 private:
  TimeConvolution convolution() const {
    const float* const bias = m_.convolution_bias ? weights_.convolution_bias.data() : nullptr;
    return {block_, weights_.convolution.data(), bias, m_.channels(), m_.kernel, true};
  }
  std::size_t state_rows() const { return m_.groups * m_.state; }

  std::size_t block_;
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
  convolve(batch, convolution(), all_.data() + inner, width, convolved_.data(), channels);
  std::vector<kernel::StateSpace> scans;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    STRATA_CHECK(s.cache == nullptr);
    const float* const from = all_.data() + row * width;
    const float* const xbc = convolved_.data() + row * channels;
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
    row += s.tokens;
  }
  kernel::state_space_gradient(scan_weights(m_, weights_), scans);
  convolve_gradient(batch, convolution(), all_.data() + inner, width, dxbc.data(), channels, dall.data() + inner,
                    width);
  products.gradient(Role::in_zxbcdt, dall, x, dx);
}

}  // namespace

std::unique_ptr<PartGradient> make_mamba_gradient(const model::Model& model, std::size_t block) {
  return std::make_unique<MambaGradient>(model, block);
}

}  // namespace strata::engine
