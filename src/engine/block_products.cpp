// dy W is the sum over the rows of W of their products with columns of dy, so that W is not transposed.
// The rows of a token become the same whatever other tokens there are.
#include "engine/block_products.h"

#include "core/error.h"
#include "core/threads.h"
#include "engine/scale.h"
#include "kernel/gradients.h"
#include "kernel/ops.h"
#include "kernel/outer_products.h"

namespace strata::engine {

using model::Role;

BlockProducts::BlockProducts(const model::Model& model, std::size_t block, kernel::Precision precision)
    : model_(model), architecture_(model.architecture()), block_(block), precision_(precision) {
  for (const model::Linear& linear : architecture_.block_linears(block))
    biases_.push_back(linear.bias ? model.vector(linear.module + ".bias", linear.rows) : std::vector<float>());
}

void BlockProducts::make_gradients(const std::vector<bool>& wanted, std::vector<std::vector<float>>& gradients) {
  wanted_ = &wanted;
  gradients_ = &gradients;
  for (std::vector<float>& gradient : gradients) gradient.clear();
}

std::size_t BlockProducts::at(Role role, std::size_t expert) const {
  return architecture_.index(block_, role, expert) - architecture_.layout[block_].first;
}

bool BlockProducts::holds(Role whole, std::size_t expert) const {
  return expert >= architecture_.experts.count && architecture_.has(block_, whole);
}

void BlockProducts::with_weights(std::size_t i, const std::function<void(const kernel::Weights& weights)>& use) const {
  if (const kernel::Weights& given = (*linears_)[i]; given.rows() != 0) return use(given);
  const model::LinearWeights held = model_.packed(architecture_.block_linears(block_)[i]);
  use(held.view());
}

std::vector<float> BlockProducts::multiply(Role role, std::span<const float> x, std::size_t expert) const {
  const std::size_t i = at(role, expert);
  const model::Linear& linear = architecture_.block_linears(block_)[i];
  const std::size_t n = x.size() / linear.cols;
  std::vector<float> rows;
  if (linear.routed() && n <= kernel::kFewTokens) {  // rows of zeros have few multiplied as many are
    rows.assign(x.begin(), x.end());
    rows.resize((kernel::kFewTokens + 1) * linear.cols, 0.0f);
    x = rows;
  }
  const std::size_t multiplied = x.size() / linear.cols;
  std::vector<float> y(multiplied * linear.rows);
  with_weights(i, [&](const kernel::Weights& weights) {
    kernel::matmul(x.data(), linear.cols, multiplied, weights, y.data(), linear.rows, precision_);
  });
  y.resize(n * linear.rows);
  if (const std::vector<float>& bias = biases_[i]; !bias.empty())
    kernel::add_bias(y.data(), bias.data(), n, linear.rows);
  return y;
}

void BlockProducts::gradient(Role role, std::span<const float> dy, std::span<const float> x, float* dx,
                             const ExpertTokens& of) {
  const std::size_t i = at(role, of.expert);
  const model::Linear& linear = architecture_.block_linears(block_)[i];
  if (watch_) watch_(i, {dy, x, of.tokens});
  if ((*wanted_)[i]) {
    std::vector<float>& gradient = (*gradients_)[i];
    gradient.assign(linear.rows * linear.cols, 0.0f);
    kernel::add_outer_products(dy.data(), linear.rows, x.data(), linear.cols, x.size() / linear.cols, gradient.data(),
                               kernel::Part::all, precision_);
  }
  if (dx == nullptr) return;
  with_weights(i, [&](const kernel::Weights& weights) { add_turned_product(weights, dy, precision_, dx); });
}

std::size_t BlockProducts::stretches(Role whole) const {
  return whole == Role::qkv ? architecture_.qkv_stretches(block_) : 1;
}

void BlockProducts::multiply(Role whole, std::initializer_list<Part> parts, std::span<const float> x,
                             std::size_t expert) const {
  if (!holds(whole, expert)) {
    for (const Part& part : parts) part.y = multiply(part.role, x, expert);
    return;
  }
  const std::vector<float> all = multiply(whole, x);
  const std::size_t rows = architecture_.linear(block_, whole).rows, n = all.size() / rows, s = stretches(whole);
  std::size_t first = 0;
  for (const Part& part : parts) {
    part.y.resize(n * part.size);
    take_columns(all.data(), n * s, rows / s, first, part.size / s, part.y.data());
    first += part.size / s;
  }
}

void BlockProducts::gradient(Role whole, std::initializer_list<Part> parts, std::span<const float> x, float* dx,
                             const ExpertTokens& of) {
  if (!holds(whole, of.expert)) {
    for (const Part& part : parts) gradient(part.role, part.y, x, dx, of);
    return;
  }
  const model::Linear& linear = architecture_.linear(block_, whole);
  const std::size_t n = x.size() / linear.cols, s = stretches(whole);
  std::vector<float> all(n * linear.rows);
  std::size_t first = 0;
  for (const Part& part : parts) {
    put_columns(part.y.data(), n * s, linear.rows / s, first, part.size / s, all.data());
    first += part.size / s;
  }
  gradient(whole, all, x, dx, of);
}

void BlockProducts::add_turned_product(const kernel::Weights& weights, std::span<const float> dy,
                                       kernel::Precision precision, float* dx) {
  const std::size_t rows = weights.rows(), cols = weights.cols(), n = dy.size() / rows;
  const bool is_wide = weights.stored == nullptr && weights.dense.dtype == DType::f32 &&
                       weights.dense.row_stride_bytes == cols * sizeof(float);
  if (!is_wide) {
    wide_.resize(rows * cols);
    parallel_for(rows, [&](std::size_t r) { kernel::read_row(weights, r, wide_.data() + r * cols); });
  }
  const float* const w = is_wide ? reinterpret_cast<const float*>(weights.dense.data) : wide_.data();
  turned_.resize(n * rows);
  kernel::transpose(dy.data(), rows, n, rows, turned_.data());
  kernel::add_outer_products(turned_.data(), n, w, cols, rows, dx, kernel::Part::all, precision);
}

}  // namespace strata::engine
