// A gated short convolution with a backward pass: the counterpart of short_convolution.cpp for whole sequences.
#include "core/error.h"
#include "engine/mixers/convolve.h"
#include "engine/part_gradient.h"
#include "engine/scale.h"
#include "kernel/gates.h"
#include "model/tensors.h"

namespace strata::engine {
namespace {

using model::Role;

class ShortConvolutionGradient final : public PartGradient {
 public:
  ShortConvolutionGradient(const model::Model& model, std::size_t block);
  std::vector<float> forward(const Batch& batch, BlockProducts& products, std::span<const float> x) override;
  void backward(const Batch& batch, BlockProducts& products, std::span<const float> x, std::vector<float> dy,
                float* dx) override;

 private:
  TimeConvolution convolution() const {
    return {block_, weights_.data(), bias_.empty() ? nullptr : bias_.data(), size_, kernel_, false};
  }

  std::size_t block_, size_, kernel_;
  std::vector<float> weights_, bias_;  ///< (hidden, kernel), (hidden) or empty
  // (tokens, hidden) each: what in_bcx gives, b times u, which the convolution reads, and what it puts out.
  std::vector<float> b_, c_, u_, gated_, convolved_;
};

ShortConvolutionGradient::ShortConvolutionGradient(const model::Model& model, std::size_t block)
    : block_(block), size_(model.architecture().hidden), kernel_(model.architecture().convolution.kernel) {
  const model::Architecture& a = model.architecture();
  weights_ = model.vector(model::kept_name(a, block, "conv.weight"), size_ * kernel_);
  if (a.convolution.bias) bias_ = model.vector(model::kept_name(a, block, "conv.bias"), size_);
}

std::vector<float> ShortConvolutionGradient::forward(const Batch& batch, BlockProducts& products,
                                                     std::span<const float> x) {
  const std::vector<float> all = products.multiply(Role::in_bcx, x);
  const std::size_t tokens = batch.tokens;
  std::size_t first = 0;
  for (std::vector<float>* part : {&b_, &c_, &u_}) {
    part->resize(tokens * size_);
    take_columns(all.data(), tokens, 3 * size_, first, size_, part->data());
    first += size_;
  }
  gated_.resize(tokens * size_);
  convolved_.resize(tokens * size_);
  kernel::multiply(b_.data(), u_.data(), gated_.size(), gated_.data());
  for (const Sequence& s : batch.sequences) STRATA_CHECK(s.cache == nullptr);
  convolve(batch, convolution(), gated_.data(), size_, convolved_.data(), size_);
  std::vector<float> mixed(tokens * size_);
  kernel::multiply(c_.data(), convolved_.data(), mixed.size(), mixed.data());
  return mixed;
}

void ShortConvolutionGradient::backward(const Batch& batch, BlockProducts& products, std::span<const float> x,
                                        std::vector<float> dy, float* dx) {
  const std::size_t tokens = batch.tokens, count = tokens * size_;
  std::vector<float> dc(count), d(count), all(3 * count);
  kernel::multiply(dy.data(), convolved_.data(), count, dc.data());
  kernel::multiply(dy.data(), c_.data(), count, d.data());
  convolve_gradient(batch, convolution(), gated_.data(), size_, d.data(), size_, d.data(), size_);
  kernel::multiply(d.data(), b_.data(), count, b_.data());  // the gradient by u
  kernel::multiply(d.data(), u_.data(), count, u_.data());  // that by b
  std::size_t first = 0;
  for (const std::vector<float>* part : {&u_, &dc, &b_}) {
    put_columns(part->data(), tokens, 3 * size_, first, size_, all.data());
    first += size_;
  }
  products.gradient(Role::in_bcx, all, x, dx);
}

}  // namespace

std::unique_ptr<PartGradient> make_short_convolution_gradient(const model::Model& model, std::size_t block) {
  return std::make_unique<ShortConvolutionGradient>(model, block);
}

}  // namespace strata::engine
