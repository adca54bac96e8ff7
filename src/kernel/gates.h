// What mixers and feed-forward parts do with gates: products with the sigmoid or silu of a gate, the norms beside them,
// softplus, relu squared and xIELU; and the gradients. All in f32, on all threads; results do not depend on their
// number.
#pragma once
#include <cstddef>

namespace strata::kernel {

/// x[i] = log(1 + exp(x[i])), without overflow.
void softplus(float* x, std::size_t count);
/// x[i] = 1 / (1 + exp(-x[i])).
void sigmoid(float* x, std::size_t count);
/// x[i] = max(x[i], 0)^2; NaN stays.
void relu_squared(float* x, std::size_t count);
/// x[i] = max(x[i], 0); NaN stays.
void relu(float* x, std::size_t count);
/// The numbers of xIELU, arXiv 2411.13010, as they are used: alpha_p and alpha_n after their softplus.
struct Xielu {
  float alpha_p, alpha_n, beta, epsilon;
};
/// x[i] = alpha_p x[i]^2 + beta x[i] where x[i] > 0, else alpha_n (exp(min(x[i], epsilon)) - 1 - x[i]) + beta x[i].
void xielu(float* x, std::size_t count, const Xielu& of);
/// y[i] = a[i] * b[i]; y may be a or b.
void multiply(const float* a, const float* b, std::size_t count, float* y);

/// x[r, i] *= sigmoid(gate[r, i]). x: (rows, size), rows x_stride floats apart; gate likewise, gate_stride apart: of
/// heads whose queries and gates alternate, a row is a head.
void sigmoid_multiply(float* x, std::size_t x_stride, const float* gate, std::size_t gate_stride, std::size_t rows,
                      std::size_t size);

/// y[r, i] = x[r, i] / sqrt(mean_i x[r, i]^2 + epsilon) * weight[i] * silu(gate[r, i]): the norm of a gated delta net,
/// a head a row. x, gate, y: (rows, size), dense; weight: (size); y may be x. transformers: Qwen3NextRMSNormGated.
void norm_then_gate(const float* x, const float* weight, const float* gate, std::size_t rows, std::size_t size,
                    float epsilon, float* y);
/// y[t, g, i] = u[t, g, i] / sqrt(mean_i u[t, g, i]^2 + epsilon) * weight[g, i], u = x silu(gate): the norm of Mamba-2.
/// x, gate, y: (tokens, groups * size), dense; weight: (groups * size); y may be x. transformers:
/// NemotronHRMSNormGated.
void gate_then_norm(const float* x, const float* weight, const float* gate, std::size_t tokens, std::size_t groups,
                    std::size_t size, float epsilon, float* y);

// Gradients; dy is the gradient of a loss by the operation's result.

/// dx[i] *= sigmoid(x[i]), x being softplus' input.
void softplus_gradient(const float* x, std::size_t count, float* dx);
/// dx[i] *= y[i] (1 - y[i]), y being sigmoid's result.
void sigmoid_gradient(const float* y, std::size_t count, float* dx);
/// dx[i] *= 1 where x[i] > 0, else 0, x being relu's input.
void relu_gradient(const float* x, std::size_t count, float* dx);
/// dx[i] *= 2 max(x[i], 0), x being relu_squared's input.
void relu_squared_gradient(const float* x, std::size_t count, float* dx);
/// dx[i] *= the slope of xielu at x[i], its input.
void xielu_gradient(const float* x, std::size_t count, const Xielu& of, float* dx);
/// The gradients of sigmoid_multiply: x and gate, as it read them, become their own. dy: (rows, size), dense.
void sigmoid_multiply_gradient(float* x, std::size_t x_stride, float* gate, std::size_t gate_stride, const float* dy,
                               std::size_t rows, std::size_t size);
/// The gradients of norm_then_gate by x, gate and (added to dweight, unless null) weight. dx and dgate: (rows, size),
/// dense; either may be dy, not both.
void norm_then_gate_gradient(const float* x, const float* weight, const float* gate, const float* dy, std::size_t rows,
                             std::size_t size, float epsilon, float* dx, float* dgate, float* dweight);
/// The gradients of gate_then_norm, likewise; dweight: (groups * size) or null.
void gate_then_norm_gradient(const float* x, const float* weight, const float* gate, const float* dy,
                             std::size_t tokens, std::size_t groups, std::size_t size, float epsilon, float* dx,
                             float* dgate, float* dweight);

}  // namespace strata::kernel
