// Backward pass of a block in the reverse order of engine.cpp: feed-forward, then attention; each half adds its
// gradient to that of the residual stream.
#include "engine/gradient.h"

#include <algorithm>

#include "core/error.h"
#include "engine/scale.h"
#include "kernel/gradients.h"
#include "kernel/ops.h"
#include "kernel/outer_products.h"

namespace strata::engine {
namespace {

using model::Norm;
using model::Role;

Norm norm_after(Half half) { return half == Half::attention ? Norm::after_attention : Norm::after_feed_forward; }

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
  if (a.layout[block].mixture) return "its feed-forward part is a mixture of experts";
  if (a.parallel) return "its halves stand side by side";
  if (a.has(block, Role::qkv) || a.has(block, Role::gate_up)) return "its matrices hold several linears each";
  if (a.qk_l2 || a.clip_qkv != 0.0f || a.attention[block].scales_query)
    return "its queries and keys are clipped or scaled";
  if (a.sinks) return "its attention has sinks";
  return "";
}

BlockGradient::BlockGradient(const Engine& engine, std::size_t block, kernel::Precision precision)
    : architecture_(engine.architecture()), block_(block), precision_(precision) {
  const std::string why = why_no_gradient(architecture_, block);
  STRATA_CHECK(why.empty(), "{}", why);
  const model::Model& model = engine.model();
  for (const model::Linear& linear : architecture_.block_linears(block))
    biases_.push_back(linear.bias ? model.vector(linear.module + ".bias", linear.rows) : std::vector<float>());
  norms_ = model.norms(model::kStreamNorms, block);
  q_norm_ = model.norm(Norm::q, block);
  k_norm_ = model.norm(Norm::k, block);
}

BlockGradient::QkNorm BlockGradient::qk_norm(std::size_t tokens, std::size_t heads) const {
  const bool whole = architecture_.qk_norm == model::QkNorm::whole;
  return {whole ? tokens : tokens * heads, architecture_.head_dim * (whole ? heads : 1)};
}

std::size_t BlockGradient::at(Role role) const {
  return architecture_.index(block_, role) - architecture_.index(block_, Role::q);
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

const float* BlockGradient::weights_of(Norm norm) const {
  const auto it = norms_.find(norm);
  return it == norms_.end() ? nullptr : it->second.data();
}

void BlockGradient::run_norm(Norm norm, const std::vector<float>& x, std::vector<float>& y) const {
  const model::Architecture& a = architecture_;
  y.resize(x.size());
  if (const float* const weights = weights_of(norm))
    kernel::rms_norm(x.data(), weights, x.size() / a.hidden, a.hidden, a.norm_epsilon, y.data());
  else
    std::copy(x.begin(), x.end(), y.begin());
}

void BlockGradient::norm_backward(Norm norm, const Pass& pass, const std::vector<float>& x,
                                  std::vector<float>& dy) const {
  const model::Architecture& a = architecture_;
  const float* const weights = weights_of(norm);
  if (weights == nullptr) return;
  if (pass.norms != nullptr) {
    std::vector<float>& slope = (*pass.norms)[norm];
    slope.assign(a.hidden, 0.0f);
    kernel::rms_norm_weight_gradient(x.data(), dy.data(), pass.tokens, a.hidden, a.norm_epsilon, slope.data());
  }
  kernel::rms_norm_gradient(x.data(), weights, dy.data(), pass.tokens, a.hidden, a.norm_epsilon, dy.data());
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
  const std::size_t tokens = batch.tokens;
  h_.assign(h, h + tokens * a.hidden);
  run_norm(Norm::before_attention, h_, attn_in_);
  multiply(Role::q, linears, attn_in_, q_);
  multiply(Role::k, linears, attn_in_, k_);
  multiply(Role::v, linears, attn_in_, v_);
  if (a.qk_norm != model::QkNorm::none) {
    q_raw_ = q_;
    k_raw_ = k_;
    const QkNorm q = qk_norm(tokens, a.heads), k = qk_norm(tokens, a.kv_heads);
    kernel::rms_norm(q_.data(), q_norm_.data(), q.rows, q.size, a.norm_epsilon, q_.data());
    kernel::rms_norm(k_.data(), k_norm_.data(), k.rows, k.size, a.norm_epsilon, k_.data());
  }
  if (const std::size_t rope = a.attention[block_].rope; rope != model::kNoRope) {
    const auto turn = a.ropes[rope].interleaved ? kernel::rope_interleaved : kernel::rope;
    const Angles& angles = batch.angles[rope];
    turn(q_.data(), a.q_size(), tokens, a.heads, a.head_dim, angles.cos.data(), angles.sin.data(), angles.half);
    turn(k_.data(), a.kv_size(), tokens, a.kv_heads, a.head_dim, angles.cos.data(), angles.sin.data(), angles.half);
  }
  attended_.resize(tokens * a.q_size());
  std::vector<kernel::Attention> calls;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    STRATA_CHECK(s.cache == nullptr);
    calls.push_back({q_.data() + row * a.q_size(), a.q_size(), k_.data() + row * a.kv_size(),
                     v_.data() + row * a.kv_size(), a.kv_size(), attended_.data() + row * a.q_size(), a.q_size(),
                     s.tokens, 0, a.heads, a.kv_heads, a.head_dim, a.attention[block_].window, a.scales.attention,
                     a.attention_softcap, nullptr, a.attention[block_].chunk});
    row += s.tokens;
  }
  kernel::attention(calls);
  multiply(Role::o, linears, attended_, o_out_);
  add_half(Half::attention, o_out_, h_, middle_);

  run_norm(Norm::before_feed_forward, middle_, mlp_in_);
  multiply(Role::gate, linears, mlp_in_, gate_);
  multiply(Role::up, linears, mlp_in_, up_);
  acted_ = gate_;
  if (a.activation == model::Activation::gelu)
    kernel::gelu_erf_multiply(acted_.data(), up_.data(), acted_.size());
  else if (a.activation == model::Activation::silu)
    kernel::silu_multiply(acted_.data(), up_.data(), acted_.size());
  else
    kernel::gelu_multiply(acted_.data(), up_.data(), acted_.size());
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

void BlockGradient::feed_forward_backward(const Pass& pass, float* dh) {
  const model::Architecture& a = architecture_;
  const std::vector<float> dmade = made_gradient(Half::feed_forward, pass, down_out_, dh);
  std::vector<float> dacted(acted_.size(), 0.0f), dmlp_in(mlp_in_.size(), 0.0f);
  linear_gradient(Role::down, pass, dmade, acted_, dacted.data());
  if (a.activation == model::Activation::gelu)
    kernel::gelu_erf_multiply_gradient(gate_.data(), up_.data(), dacted.data(), gate_.size());
  else if (a.activation == model::Activation::silu)
    kernel::silu_multiply_gradient(gate_.data(), up_.data(), dacted.data(), gate_.size());
  else
    kernel::gelu_multiply_gradient(gate_.data(), up_.data(), dacted.data(), gate_.size());
  linear_gradient(Role::gate, pass, gate_, mlp_in_, dmlp_in.data());
  linear_gradient(Role::up, pass, up_, mlp_in_, dmlp_in.data());
  norm_backward(Norm::before_feed_forward, pass, middle_, dmlp_in);
  kernel::add(dh, dmlp_in.data(), dmlp_in.size());
}

void BlockGradient::attention_backward(const Batch& batch, const Pass& pass, float* dh) {
  const model::Architecture& a = architecture_;
  const std::size_t tokens = pass.tokens;
  const std::vector<float> dmade = made_gradient(Half::attention, pass, o_out_, dh);
  std::vector<float> dattended(attended_.size(), 0.0f), dq(q_.size()), dk(k_.size()), dv(v_.size());
  linear_gradient(Role::o, pass, dmade, attended_, dattended.data());
  std::vector<kernel::AttentionGradient> calls;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    const std::size_t q = row * a.q_size(), kv = row * a.kv_size();
    calls.push_back({q_.data() + q, k_.data() + kv, v_.data() + kv, dattended.data() + q, dq.data() + q, dk.data() + kv,
                     dv.data() + kv, s.tokens, a.heads, a.kv_heads, a.head_dim, a.attention[block_].window,
                     a.scales.attention, a.attention_softcap, nullptr, a.attention[block_].chunk});
    row += s.tokens;
  }
  kernel::attention_gradient(calls, precision_);
  if (const std::size_t rope = a.attention[block_].rope; rope != model::kNoRope) {
    const auto turn = a.ropes[rope].interleaved ? kernel::rope_interleaved_gradient : kernel::rope_gradient;
    const Angles& angles = batch.angles[rope];
    turn(dq.data(), tokens, a.heads, a.head_dim, angles.cos.data(), angles.sin.data(), angles.half);
    turn(dk.data(), tokens, a.kv_heads, a.head_dim, angles.cos.data(), angles.sin.data(), angles.half);
  }
  if (a.qk_norm != model::QkNorm::none) {
    const QkNorm q = qk_norm(tokens, a.heads), k = qk_norm(tokens, a.kv_heads);
    kernel::rms_norm_gradient(q_raw_.data(), q_norm_.data(), dq.data(), q.rows, q.size, a.norm_epsilon, dq.data());
    kernel::rms_norm_gradient(k_raw_.data(), k_norm_.data(), dk.data(), k.rows, k.size, a.norm_epsilon, dk.data());
  }
  std::vector<float> dattn_in(pass.to_input ? attn_in_.size() : 0, 0.0f);
  float* const dx = pass.to_input ? dattn_in.data() : nullptr;
  linear_gradient(Role::q, pass, dq, attn_in_, dx);
  linear_gradient(Role::k, pass, dk, attn_in_, dx);
  linear_gradient(Role::v, pass, dv, attn_in_, dx);
  if (!pass.to_input) return;
  norm_backward(Norm::before_attention, pass, h_, dattn_in);
  kernel::add(dh, dattn_in.data(), dattn_in.size());
}

void BlockGradient::backward(const Batch& batch, const float* dout, const Linears& linears,
                             const std::vector<bool>& wanted, std::vector<std::vector<float>>& gradients, float* dh,
                             Norms* norms) {
  STRATA_CHECK(norms == nullptr || dh != nullptr);
  const Pass pass{linears, wanted, gradients, batch.tokens, dh != nullptr, norms};
  std::vector<float> d(dout, dout + batch.tokens * architecture_.hidden);
  feed_forward_backward(pass, d.data());
  attention_backward(batch, pass, d.data());
  if (dh != nullptr) std::copy(d.begin(), d.end(), dh);
}

}  // namespace strata::engine
