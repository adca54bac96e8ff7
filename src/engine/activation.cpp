// Which kernel an activation is.
#include "engine/activation.h"

#include <algorithm>
#include <vector>

#include "kernel/gates.h"
#include "kernel/gradients.h"
#include "kernel/ops.h"
#include "model/tensors.h"

namespace strata::engine {

using model::Activation;

namespace {

/// What the activation is multiplied by: `up`, or 1 in `ones` where there is none and the kernels multiply by
/// something.
template <class Float>
Float* multiplier(const model::Architecture& a, Float* up, std::size_t count, std::vector<float>& ones) {
  const bool alone =
      a.activation == Activation::relu || a.activation == Activation::relu_squared || a.activation == Activation::xielu;
  if (up != nullptr || alone) return up;
  ones.assign(count, 1.0f);
  return ones.data();
}

}  // namespace

std::optional<kernel::Xielu> xielu_of(const model::Model& model, std::size_t block) {
  const model::Architecture& a = model.architecture();
  if (a.activation != Activation::xielu || !a.feeds(block)) return {};
  const auto number = [&](model::XieluTensor part) { return model.vector(xielu_name(a, block, part), 1).front(); };
  kernel::Xielu of{.alpha_p = number(model::XieluTensor::alpha_p),
                   .alpha_n = number(model::XieluTensor::alpha_n),
                   .beta = number(model::XieluTensor::beta),
                   .epsilon = number(model::XieluTensor::epsilon)};
  kernel::softplus(&of.alpha_p, 1);
  kernel::softplus(&of.alpha_n, 1);
  of.alpha_n += of.beta;
  return of;
}

void activate(const model::Architecture& a, const std::optional<kernel::Xielu>& xielu, float* gate, const float* up,
              std::size_t count) {
  std::vector<float> ones;
  up = multiplier(a, up, count, ones);
  switch (a.activation) {
    case Activation::silu:
      return kernel::silu_multiply(gate, up, count);
    case Activation::gelu_tanh:
      return kernel::gelu_multiply(gate, up, count);
    case Activation::gelu:
      return kernel::gelu_erf_multiply(gate, up, count);
    case Activation::clamped_swiglu:
      return kernel::clamped_swiglu_multiply(gate, up, count, a.swiglu.limit, a.swiglu.alpha);
    case Activation::relu:
      return kernel::relu(gate, count);
    case Activation::relu_squared:
      return kernel::relu_squared(gate, count);
    case Activation::xielu:
      return kernel::xielu(gate, count, xielu.value());
  }
}

void activate_gradient(const model::Architecture& a, const std::optional<kernel::Xielu>& xielu, float* gate, float* up,
                       const float* dy, std::size_t count) {
  std::vector<float> ones;  // the gradient by them is of no use
  up = multiplier(a, up, count, ones);
  switch (a.activation) {
    case Activation::silu:
      return kernel::silu_multiply_gradient(gate, up, dy, count);
    case Activation::gelu_tanh:
      return kernel::gelu_multiply_gradient(gate, up, dy, count);
    case Activation::gelu:
      return kernel::gelu_erf_multiply_gradient(gate, up, dy, count);
    case Activation::clamped_swiglu:
      return kernel::clamped_swiglu_multiply_gradient(gate, up, dy, count, a.swiglu.limit, a.swiglu.alpha);
    case Activation::relu:
    case Activation::relu_squared:
    case Activation::xielu: {
      std::vector<float> d(dy, dy + count);
      if (xielu)
        kernel::xielu_gradient(gate, count, *xielu, d.data());
      else if (a.activation == Activation::relu)
        kernel::relu_gradient(gate, count, d.data());
      else
        kernel::relu_squared_gradient(gate, count, d.data());
      std::copy(d.begin(), d.end(), gate);
      return;
    }
  }
}

}  // namespace strata::engine
