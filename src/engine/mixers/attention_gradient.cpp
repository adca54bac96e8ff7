// The backward pass undoes the operations of forward in reverse order, each by its gradient in kernel/gradients.h.
#include "engine/mixers/attention_gradient.h"

#include <utility>

#include "core/error.h"
#include "kernel/gradients.h"
#include "kernel/ops.h"
#include "model/tensors.h"

namespace strata::engine {

using model::Norm;

AttentionGradient::AttentionGradient(const model::Model& model, std::size_t block)
    : a_(model.architecture()), attention_(a_.attention[block]) {
  q_ = {.norm = Norm::q, .heads = a_.heads, .norm_weights = model.norm(Norm::q, block)};
  k_ = {.norm = Norm::k, .heads = a_.kv_heads, .norm_weights = model.norm(Norm::k, block)};
  if (a_.sinks) sinks_ = model.vector(model::sinks_name(a_, block), a_.heads);
}

void AttentionGradient::prepare(const Batch& batch, Heads& of, std::vector<float> rows) const {
  prepare_heads(a_, attention_, batch, of.norm, of.norm_weights.empty() ? nullptr : of.norm_weights.data(), of.heads,
                rows.data(), &of.steps);
  of.ready = std::move(rows);
}

void AttentionGradient::prepare_backward(const Batch& batch, const Heads& of, std::vector<float>& d) const {
  const std::size_t width = of.heads * a_.head_dim;
  if (attention_.scales_query && of.norm == Norm::q)
    kernel::scale_rows(d.data(), width, batch.tokens, width, batch.query_factors.data());
  if (attention_.rope != model::kNoRope) {
    if (a_.qk_l2)
      kernel::l2_norm_gradient(of.steps.before_l2.data(), d.data(), batch.tokens * of.heads, a_.head_dim,
                               a_.norm_epsilon, d.data());
    const Angles& angles = batch.angles[attention_.rope];
    const auto turn = a_.ropes[attention_.rope].interleaved ? kernel::rope_interleaved_gradient : kernel::rope_gradient;
    turn(d.data(), batch.tokens, of.heads, a_.head_dim, angles.cos.data(), angles.sin.data(), angles.half);
  }
  if (a_.clip_qkv != 0.0f) kernel::clamp_gradient(of.steps.before_clip.data(), d.size(), a_.clip_qkv, d.data());
  if (!of.norm_weights.empty()) {
    const std::size_t size = head_norm_size(a_, attention_, of.heads);
    kernel::rms_norm_gradient(of.steps.before_norm.data(), of.norm_weights.data(), d.data(), d.size() / size, size,
                              a_.norm_epsilon, d.data());
  }
}

std::vector<float> AttentionGradient::forward(const Batch& batch, QueryKeyValue heads) {
  prepare(batch, q_, std::move(heads.q));
  prepare(batch, k_, std::move(heads.k));
  v_ = std::move(heads.v);
  if (a_.clip_qkv != 0.0f) {
    v_before_clip_ = v_;
    kernel::clamp(v_.data(), v_.size(), a_.clip_qkv);
  }
  std::vector<float> attended(q_.ready.size());
  std::vector<kernel::Attention> calls;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    STRATA_CHECK(s.cache == nullptr);
    const std::size_t q = row * a_.q_size(), kv = row * a_.kv_size();
    calls.push_back({.q = q_.ready.data() + q,
                     .q_stride = a_.q_size(),
                     .k = k_.ready.data() + kv,
                     .v = v_.data() + kv,
                     .kv_stride = a_.kv_size(),
                     .out = attended.data() + q,
                     .out_stride = a_.q_size(),
                     .tokens = s.tokens,
                     .first_position = 0,
                     .heads = a_.heads,
                     .kv_heads = a_.kv_heads,
                     .head_dim = a_.head_dim,
                     .window = attention_.window,
                     .scale = a_.scales.attention,
                     .softcap = a_.attention_softcap,
                     .sinks = a_.sinks ? sinks_.data() : nullptr,
                     .chunk = attention_.chunk});
    row += s.tokens;
  }
  kernel::attention(calls);
  return attended;
}

QueryKeyValue AttentionGradient::backward(const Batch& batch, const std::vector<float>& dattended,
                                          kernel::Precision precision) const {
  QueryKeyValue d{std::vector<float>(q_.ready.size()), std::vector<float>(k_.ready.size()),
                  std::vector<float>(v_.size())};
  std::vector<kernel::AttentionGradient> calls;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    const std::size_t q = row * a_.q_size(), kv = row * a_.kv_size();
    calls.push_back({.q = q_.ready.data() + q,
                     .k = k_.ready.data() + kv,
                     .v = v_.data() + kv,
                     .dout = dattended.data() + q,
                     .dq = d.q.data() + q,
                     .dk = d.k.data() + kv,
                     .dv = d.v.data() + kv,
                     .tokens = s.tokens,
                     .heads = a_.heads,
                     .kv_heads = a_.kv_heads,
                     .head_dim = a_.head_dim,
                     .window = attention_.window,
                     .scale = a_.scales.attention,
                     .softcap = a_.attention_softcap,
                     .sinks = a_.sinks ? sinks_.data() : nullptr,
                     .chunk = attention_.chunk});
    row += s.tokens;
  }
  kernel::attention_gradient(calls, precision);
  if (a_.clip_qkv != 0.0f) kernel::clamp_gradient(v_before_clip_.data(), d.v.size(), a_.clip_qkv, d.v.data());
  prepare_backward(batch, q_, d.q);
  prepare_backward(batch, k_, d.k);
  return d;
}

}  // namespace strata::engine
