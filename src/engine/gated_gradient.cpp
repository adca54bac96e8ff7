// The forward pass is that of Engine::run_gated.
#include "engine/gated_gradient.h"

#include "engine/activation.h"

namespace strata::engine {

using model::Role;

std::vector<float> GatedGradient::forward(const Batch&, BlockProducts& products, std::span<const float> x) {
  const std::size_t size = products.linear(Role::down, of_.expert).cols;
  if (products.architecture().gated)
    products.multiply(Role::gate_up, {{Role::gate, size, gate_}, {Role::up, size, up_}}, x, of_.expert);
  else
    gate_ = products.multiply(Role::up, x, of_.expert);
  acted_ = gate_;
  activate(products.architecture(), xielu_, acted_.data(), up_.data(), acted_.size());
  return products.multiply(Role::down, acted_, of_.expert);
}

void GatedGradient::backward(const Batch&, BlockProducts& products, std::span<const float> x, std::vector<float> dy,
                             float* dx) {
  const std::size_t size = products.linear(Role::down, of_.expert).cols;
  std::vector<float> dacted(acted_.size(), 0.0f);
  products.gradient(Role::down, dy, acted_, dacted.data(), of_);
  activate_gradient(products.architecture(), xielu_, gate_.data(), up_.data(), dacted.data(), gate_.size());
  if (products.architecture().gated)
    products.gradient(Role::gate_up, {{Role::gate, size, gate_}, {Role::up, size, up_}}, x, dx, of_);
  else
    products.gradient(Role::up, gate_, x, dx, of_);
}

std::unique_ptr<PartGradient> make_gated_gradient(const model::Model& model, std::size_t block) {
  return std::make_unique<GatedGradient>(ExpertTokens{}, xielu_of(model, block));
}

}  // namespace strata::engine
