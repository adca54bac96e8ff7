// A mixture of experts with a backward pass: the counterpart of experts.cpp. Beside the routed experts there may be a
// shared one, and routed experts may be narrow.
#include <optional>
#include <utility>

#include "core/threads.h"
#include "engine/routed_gradient.h"
#include "engine/scale.h"
#include "kernel/gates.h"
#include "kernel/ops.h"

namespace strata::engine {
namespace {

using model::Role;

class ExpertsGradient final : public PartGradient {
 public:
  ExpertsGradient(const model::Model& model, std::size_t block)
      : a_(model.architecture()), routed_(a_, router_weights(model, block)) {
    if (a_.experts.shared_intermediate != 0) shared_.emplace(ExpertTokens{.expert = model::kSharedExpert});
  }
  std::vector<float> forward(const Batch& batch, BlockProducts& products, std::span<const float> x) override;
  void backward(const Batch& batch, BlockProducts& products, std::span<const float> x, std::vector<float> dy,
                float* dx) override;

 private:
  std::vector<float> run_shared(const Batch& batch, BlockProducts& products, std::span<const float> x);
  void shared_backward(const Batch& batch, BlockProducts& products, std::span<const float> x,
                       const std::vector<float>& dy, float* dx);

  const model::Architecture& a_;
  RoutedGradient routed_;
  std::optional<GatedGradient> shared_;
  std::vector<float> shared_out_, shared_scales_;  ///< (tokens, hidden), and (tokens) where it has a gate
  std::vector<float> latents_, sum_;  ///< (tokens, expert_size): what narrow experts read, and the sum of their outputs
};

std::vector<float> ExpertsGradient::run_shared(const Batch& batch, BlockProducts& products, std::span<const float> x) {
  if (!shared_) return std::vector<float>(x.size(), 0.0f);
  shared_out_ = shared_->forward(batch, products, x);
  scale(shared_out_.data(), shared_out_.size(), a_.experts.shared_scale);
  const auto& gate = routed_.router().shared_gate;
  if (!gate) return shared_out_;
  shared_scales_ = shared_scales(*gate, x.data(), batch.tokens, a_.hidden);
  std::vector<float> out = shared_out_;
  kernel::scale_rows(out.data(), a_.hidden, batch.tokens, a_.hidden, shared_scales_.data());
  return out;
}

std::vector<float> ExpertsGradient::forward(const Batch& batch, BlockProducts& products, std::span<const float> x) {
  routed_.choose(x);
  std::vector<float> out = run_shared(batch, products, x);
  if (a_.experts.latent == 0) {
    routed_.forward(batch, products, x, out);
    return out;
  }
  latents_ = products.multiply(Role::to_latent, x);
  sum_.assign(latents_.size(), 0.0f);
  routed_.forward(batch, products, latents_, sum_);
  const std::vector<float> widened = products.multiply(Role::from_latent, sum_);
  kernel::add(out.data(), widened.data(), out.size());
  return out;
}

void ExpertsGradient::shared_backward(const Batch& batch, BlockProducts& products, std::span<const float> x,
                                      const std::vector<float>& dy, float* dx) {
  std::vector<float> d = dy;
  if (const auto& gate = routed_.router().shared_gate) {
    std::vector<float> dscales(batch.tokens);
    parallel_for(batch.tokens, [&](std::size_t t) {
      double sum = 0.0;
      for (std::size_t i = t * a_.hidden; i < (t + 1) * a_.hidden; ++i)
        sum += static_cast<double>(dy[i]) * static_cast<double>(shared_out_[i]);
      dscales[t] = static_cast<float>(sum);
    });
    kernel::sigmoid_gradient(shared_scales_.data(), dscales.size(), dscales.data());
    products.add_turned_product(gate->view(), dscales, kernel::Precision::f32, dx);
    kernel::scale_rows(d.data(), a_.hidden, batch.tokens, a_.hidden, shared_scales_.data());
  }
  scale(d.data(), d.size(), a_.experts.shared_scale);
  shared_->backward(batch, products, x, std::move(d), dx);
}

void ExpertsGradient::backward(const Batch& batch, BlockProducts& products, std::span<const float> x,
                               std::vector<float> dy, float* dx) {
  std::vector<float> unwanted;
  if (dx == nullptr) {
    unwanted.resize(x.size());
    dx = unwanted.data();
  }
  if (shared_) shared_backward(batch, products, x, dy, dx);
  if (a_.experts.latent == 0) return routed_.backward(batch, products, x, dy, dx, dx);
  std::vector<float> dsum(sum_.size(), 0.0f), dlatents(latents_.size(), 0.0f);
  products.gradient(Role::from_latent, dy, sum_, dsum.data());
  routed_.backward(batch, products, latents_, dsum, dlatents.data(), dx);
  products.gradient(Role::to_latent, dlatents, x, dx);
}

}  // namespace

std::unique_ptr<PartGradient> make_experts_gradient(const model::Model& model, std::size_t block) {
  return std::make_unique<ExpertsGradient>(model, block);
}

}  // namespace strata::engine
