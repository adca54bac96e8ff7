// Backward pass of a block in the reverse order of engine.cpp: feed-forward, then attention; each half adds its
// gradient to that of the residual stream.
#include "engine/gradient.h"

#include <algorithm>

#include "core/error.h"
#include "engine/activation.h"
#include "engine/norms.h"
#include "engine/scale.h"
#include "kernel/gradients.h"
#include "kernel/ops.h"
#include "kernel/outer_products.h"

namespace strata::engine {
namespace {

using model::Norm;
using model::Role;

Norm norm_after(Half half) { return half == Half::attention ? Norm::after_attention : Norm::after_feed_forward; }

/// The rows of a linear that may be a part of another.
std::size_t rows_of(const model::Architecture& a, Role role) {
  if (role == Role::q) return a.q_size();
  return role == Role::k || role == Role::v ? a.kv_size() : a.intermediate;
}

kernel::Weights dense(const std::vector<float>& data, std::size_t rows, std::size_t cols) {
  return {MatrixView::dense(data.data(), rows, cols, DType::f32), nullptr};
}

}  // namespace

/// The arguments of one backward pass.
struct BlockGradient::Pass {
  const Linears& linears;
  const std::vector<bool>& wanted;
  std::vector<std::vector<float>>& gradients;
  std::size_t tokens;
  bool to_input;  ///< the gradient by the block's input is wanted
  Norms* norms;
};

std::string why_no_gradient(const model::Architecture& architecture, std::size_t block) {
  const model::Architecture& a = architecture;
  if (a.attention[block].mixer == model::Mixer::mamba) return "it has Mamba-2 in place of attention";
  if (!a.feeds(block)) return "it has no feed-forward part";
  if (!a.mixes(block)) return "it has a feed-forward part alone";
  if (a.norm_bias) return "its norms have biases";
  if (!a.gated) return "its feed-forward part has no gate";
  if (a.layout[block].mixture) return "its feed-forward part is a mixture of experts";
  if (a.attention[block].mixer == model::Mixer::latent) return "its attention is made from latents";
  if (a.attention[block].mixer == model::Mixer::delta) return "it is a gated delta net";
  if (a.attention[block].mixer == model::Mixer::convolution) return "it is a convolution over time";
  if (a.output_gate) return "its attention has an output gate";
  return "";
}

BlockGradient::BlockGradient(const Engine& engine, std::size_t block, kernel::Precision precision)
    : architecture_(engine.architecture()), block_(block), precision_(precision), attention_(engine.model(), block) {
  const std::string why = why_no_gradient(architecture_, block);
  STRATA_CHECK(why.empty(), "{}", why);
  const model::Model& model = engine.model();
  for (const model::Linear& linear : architecture_.block_linears(block))
    biases_.push_back(linear.bias ? model.vector(linear.module + ".bias", linear.rows) : std::vector<float>());
  norms_ = model.norms(model::kStreamNorms, block);
}

std::size_t BlockGradient::at(Role role) const {
  return architecture_.index(block_, role) - architecture_.layout[block_].first;
}

void BlockGradient::multiply(Role role, const Linears& linears, const std::vector<float>& x,
                             std::vector<float>& y) const {
  const MatrixView& w = linears[at(role)];
  const std::size_t tokens = x.size() / w.cols;
  y.resize(tokens * w.rows);
  kernel::matmul(x.data(), w.cols, tokens, {w, nullptr}, y.data(), w.rows, precision_);
  if (const std::vector<float>& bias = biases_[at(role)]; !bias.empty())
    kernel::add_bias(y.data(), bias.data(), tokens, w.rows);
}

void BlockGradient::multiply(Role whole, std::initializer_list<Part> parts, const Linears& linears,
                             const std::vector<float>& x) const {
  if (!architecture_.has(block_, whole)) {
    for (const Part& part : parts) multiply(part.role, linears, x, part.y);
    return;
  }
  std::vector<float> all;
  multiply(whole, linears, x, all);
  const std::size_t width = linears[at(whole)].rows, tokens = all.size() / width;
  std::size_t first = 0;
  for (const Part& part : parts) {
    const std::size_t rows = rows_of(architecture_, part.role);
    part.y.resize(tokens * rows);
    take_columns(all.data(), tokens, width, first, rows, part.y.data());
    first += rows;
  }
}

const float* BlockGradient::weights_of(Norm norm) const {
  const auto it = norms_.find(norm);
  return it == norms_.end() ? nullptr : it->second.data();
}

void BlockGradient::run_norm(Norm norm, const std::vector<float>& x, std::vector<float>& y) const {
  y.resize(x.size());
  if (const float* const weights = weights_of(norm))
    norm_rows(architecture_, x.data(), weights, x.size() / architecture_.hidden, y.data());
  else
    std::copy(x.begin(), x.end(), y.begin());
}

void BlockGradient::norm_backward(Norm norm, const Pass& pass, const std::vector<float>& x,
                                  std::vector<float>& dy) const {
  const float* const weights = weights_of(norm);
  if (weights == nullptr) return;
  if (pass.norms != nullptr) {
    std::vector<float>& slope = (*pass.norms)[norm];
    slope.assign(architecture_.hidden, 0.0f);
    norm_rows_weight_gradient(architecture_, x.data(), dy.data(), pass.tokens, slope.data());
  }
  norm_rows_gradient(architecture_, x.data(), weights, dy.data(), pass.tokens, dy.data());
}

void BlockGradient::add_half(Half half, const std::vector<float>& made, const std::vector<float>& h,
                             std::vector<float>& out) const {
  run_norm(norm_after(half), made, out);
  scale(out.data(), out.size(), architecture_.scales.residual);
  kernel::add(out.data(), h.data(), out.size());
}

std::vector<float> BlockGradient::made_gradient(Half half, const Pass& pass, const std::vector<float>& made,
                                                const float* dsum) const {
  std::vector<float> d(dsum, dsum + made.size());
  scale(d.data(), d.size(), architecture_.scales.residual);
  norm_backward(norm_after(half), pass, made, d);
  return d;
}

const float* BlockGradient::forward(const Batch& batch, const float* h, const Linears& linears) {
  const model::Architecture& a = architecture_;
  h_.assign(h, h + batch.tokens * a.hidden);
  run_norm(Norm::before_attention, h_, attn_in_);
  QueryKeyValue heads;
  multiply(Role::qkv, {{Role::q, heads.q}, {Role::k, heads.k}, {Role::v, heads.v}}, linears, attn_in_);
  attended_ = attention_.forward(batch, std::move(heads));
  multiply(Role::o, linears, attended_, o_out_);
  add_half(Half::attention, o_out_, h_, middle_);

  if (a.parallel)
    mlp_in_ = attn_in_;
  else
    run_norm(Norm::before_feed_forward, middle_, mlp_in_);
  multiply(Role::gate_up, {{Role::gate, gate_}, {Role::up, up_}}, linears, mlp_in_);
  acted_ = gate_;
  activate(a, acted_.data(), up_.data(), acted_.size());
  multiply(Role::down, linears, acted_, down_out_);
  add_half(Half::feed_forward, down_out_, middle_, out_);
  return out_.data();
}

void BlockGradient::linear_gradient(Role role, const Pass& pass, const std::vector<float>& dy,
                                    const std::vector<float>& x, float* dx) {
  const std::size_t i = at(role), tokens = pass.tokens;
  const MatrixView& w = pass.linears[i];
  if (watch_) watch_(i, dy, x);
  if (pass.wanted[i]) {
    pass.gradients[i].assign(w.rows * w.cols, 0.0f);
    kernel::add_outer_products(dy.data(), w.rows, x.data(), w.cols, tokens, pass.gradients[i].data(), kernel::Part::all,
                               precision_);
  }
  if (dx == nullptr) return;
  turned_weights_.resize(w.rows * w.cols);
  dx_.resize(w.cols * tokens);
  kernel::transpose(reinterpret_cast<const float*>(w.data), w.cols, w.rows, w.cols, turned_weights_.data());
  kernel::matmul(dy.data(), w.rows, tokens, dense(turned_weights_, w.cols, w.rows), dx_.data(), w.cols, precision_);
  kernel::add(dx, dx_.data(), tokens * w.cols);
}

void BlockGradient::linear_gradients(Role whole, std::initializer_list<Part> parts, const Pass& pass,
                                     const std::vector<float>& x, float* dx) {
  if (!architecture_.has(block_, whole)) {
    for (const Part& part : parts) linear_gradient(part.role, pass, part.y, x, dx);
    return;
  }
  const std::size_t width = pass.linears[at(whole)].rows;
  std::vector<float> all(pass.tokens * width);
  std::size_t first = 0;
  for (const Part& part : parts) {
    const std::size_t rows = rows_of(architecture_, part.role);
    put_columns(part.y.data(), pass.tokens, width, first, rows, all.data());
    first += rows;
  }
  linear_gradient(whole, pass, all, x, dx);
}

std::vector<float> BlockGradient::feed_forward_backward(const Pass& pass, const float* dsum) {
  const std::vector<float> dmade = made_gradient(Half::feed_forward, pass, down_out_, dsum);
  std::vector<float> dacted(acted_.size(), 0.0f), dmlp_in(mlp_in_.size(), 0.0f);
  linear_gradient(Role::down, pass, dmade, acted_, dacted.data());
  activate_gradient(architecture_, gate_.data(), up_.data(), dacted.data(), gate_.size());
  linear_gradients(Role::gate_up, {{Role::gate, gate_}, {Role::up, up_}}, pass, mlp_in_, dmlp_in.data());
  return dmlp_in;
}

std::vector<float> BlockGradient::attention_backward(const Batch& batch, const Pass& pass, const float* dsum) {
  const std::vector<float> dmade = made_gradient(Half::attention, pass, o_out_, dsum);
  std::vector<float> dattended(attended_.size(), 0.0f), dattn_in(pass.to_input ? attn_in_.size() : 0, 0.0f);
  linear_gradient(Role::o, pass, dmade, attended_, dattended.data());
  QueryKeyValue d = attention_.backward(batch, dattended, precision_);
  linear_gradients(Role::qkv, {{Role::q, d.q}, {Role::k, d.k}, {Role::v, d.v}}, pass, attn_in_,
                   pass.to_input ? dattn_in.data() : nullptr);
  return dattn_in;
}

void BlockGradient::backward(const Batch& batch, const float* dout, const Linears& linears,
                             const std::vector<bool>& wanted, std::vector<std::vector<float>>& gradients, float* dh,
                             Norms* norms) {
  STRATA_CHECK(norms == nullptr || dh != nullptr);
  const Pass pass{linears, wanted, gradients, batch.tokens, dh != nullptr, norms};
  std::vector<float> d(dout, dout + batch.tokens * architecture_.hidden);
  std::vector<float> dmlp_in = feed_forward_backward(pass, d.data());
  if (!architecture_.parallel) {
    norm_backward(Norm::before_feed_forward, pass, middle_, dmlp_in);
    kernel::add(d.data(), dmlp_in.data(), d.size());
  }
  std::vector<float> dattn_in = attention_backward(batch, pass, d.data());
  if (dh == nullptr) return;
  if (architecture_.parallel) kernel::add(dattn_in.data(), dmlp_in.data(), d.size());  // both read one norm's rows
  norm_backward(Norm::before_attention, pass, h_, dattn_in);
  kernel::add(d.data(), dattn_in.data(), d.size());
  std::copy(d.begin(), d.end(), dh);
}

}  // namespace strata::engine
