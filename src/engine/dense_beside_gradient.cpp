// A dense part and experts side by side, with norms of their own before and after each, and a backward pass: the
// counterpart of Engine::add_experts where Experts::beside_dense is set. transformers: Gemma4TextDecoderLayer of
// modeling_gemma4.py.
#include <utility>

#include "engine/gated_gradient.h"
#include "engine/routed_gradient.h"
#include "kernel/gradients.h"
#include "kernel/ops.h"

namespace strata::engine {
namespace {

using model::Norm;

/// Reads the residual stream.
class DenseBesideGradient final : public PartGradient {
 public:
  DenseBesideGradient(const model::Model& model, std::size_t block, StreamNorms& norms)
      : a_(model.architecture()), norms_(norms), routed_(a_, router_weights(model, block)) {}
  std::vector<float> forward(const Batch& batch, BlockProducts& products, std::span<const float> x) override;
  void backward(const Batch& batch, BlockProducts& products, std::span<const float> x, std::vector<float> dy,
                float* dx) override;

 private:
  const model::Architecture& a_;
  StreamNorms& norms_;
  GatedGradient dense_{ExpertTokens{.expert = model::kSharedExpert}};
  RoutedGradient routed_;
  std::vector<float> stream_, dense_in_, dense_out_, experts_in_, experts_out_;  ///< (tokens, hidden)
};

std::vector<float> DenseBesideGradient::forward(const Batch& batch, BlockProducts& products, std::span<const float> x) {
  stream_.assign(x.begin(), x.end());
  norms_.run(Norm::before_feed_forward, stream_, dense_in_);
  dense_out_ = dense_.forward(batch, products, dense_in_);
  std::vector<float> routed_by(x.size());
  kernel::rms_norm(x.data(), routed_.router().norm.data(), batch.tokens, a_.hidden, a_.norm_epsilon, routed_by.data());
  routed_.choose(routed_by);
  norms_.run(Norm::before_experts, stream_, experts_in_);
  experts_out_.assign(x.size(), 0.0f);
  routed_.forward(batch, products, experts_in_, experts_out_);
  std::vector<float> out = norms_.made(Norm::after_dense, dense_out_);
  const std::vector<float> of_experts = norms_.made(Norm::after_experts, experts_out_);
  kernel::add(out.data(), of_experts.data(), out.size());
  return out;
}

void DenseBesideGradient::backward(const Batch& batch, BlockProducts& products, std::span<const float>,
                                   std::vector<float> dy, float* dx) {
  std::vector<float> of_dense(dy.size(), 0.0f), of_experts(dy.size(), 0.0f), of_router(dy.size(), 0.0f), d = dy;
  norms_.backward(Norm::after_dense, dense_out_, d);
  dense_.backward(batch, products, dense_in_, std::move(d), of_dense.data());
  norms_.backward(Norm::before_feed_forward, stream_, of_dense);
  norms_.backward(Norm::after_experts, experts_out_, dy);
  routed_.backward(batch, products, experts_in_, dy, of_experts.data(), of_router.data());
  norms_.backward(Norm::before_experts, stream_, of_experts);
  kernel::rms_norm_gradient(stream_.data(), routed_.router().norm.data(), of_router.data(), batch.tokens, a_.hidden,
                            a_.norm_epsilon, of_router.data());
  if (dx == nullptr) return;
  for (const std::vector<float>* part : {&of_dense, &of_experts, &of_router}) kernel::add(dx, part->data(), dy.size());
}

}  // namespace

std::unique_ptr<PartGradient> make_dense_beside_gradient(const model::Model& model, std::size_t block,
                                                         StreamNorms& norms) {
  return std::make_unique<DenseBesideGradient>(model, block, norms);
}

}  // namespace strata::engine
