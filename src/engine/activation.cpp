// Which kernel an activation is.
#include "engine/activation.h"

#include <algorithm>
#include <vector>

#include "kernel/gates.h"
#include "kernel/gradients.h"
#include "kernel/ops.h"

namespace strata::engine {

using model::Activation;

namespace {

/// What the activation is multiplied by: `up`, or 1 in `ones` where there is none and the kernels multiply by
/// something.
template <class Float>
Float* multiplier(const model::Architecture& a, Float* up, std::size_t count, std::vector<float>& ones) {
  if (up != nullptr || a.activation == Activation::relu_squared) return up;
  ones.assign(count, 1.0f);
  return ones.data();
}

}  // namespace

void activate(const model::Architecture& a, float* gate, const float* up, std::size_t count) {
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
    case Activation::relu_squared:
      return kernel::relu_squared(gate, count);
  }
}

void activate_gradient(const model::Architecture& a, float* gate, float* up, const float* dy, std::size_t count) {
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
    case Activation::relu_squared: {
      std::vector<float> d(dy, dy + count);
      kernel::relu_squared_gradient(gate, count, d.data());
      std::copy(d.begin(), d.end(), gate);
      return;
    }
  }
}

}  // namespace strata::engine
