// Attention with a backward pass: the counterpart of attention.cpp for whole sequences. The backward pass undoes the
// operations in reverse order, each by its gradient in kernel/gradients.h.
#include <utility>

#include "core/error.h"
#include "engine/mixers/heads_gradient.h"
#include "engine/part_gradient.h"
#include "engine/scale.h"
#include "kernel/gates.h"
#include "kernel/gradients.h"
#include "kernel/ops.h"
#include "model/tensors.h"

namespace strata::engine {
namespace {

using model::Norm;
using model::Role;

class AttentionGradient final : public PartGradient {
 public:
  AttentionGradient(const model::Model& model, std::size_t block);
  std::vector<float> forward(const Batch& batch, BlockProducts& products, std::span<const float> x) override;
  void backward(const Batch& batch, BlockProducts& products, std::span<const float> x, std::vector<float> dy,
                float* dx) override;

 private:
  /// q or k from its linear to the products, where it is `ready`, (tokens, heads * head_dim).
  struct Heads {
    Norm norm = Norm::q;
    std::size_t heads = 0;
    std::vector<float> norm_weights = {}, ready = {};
    HeadSteps steps = {};
    const float* weights() const { return norm_weights.empty() ? nullptr : norm_weights.data(); }
  };
  void prepare(const Batch& batch, Heads& of) const;
  /// q's linear holds a gate behind every head: what it puts out is taken apart, and gradients are put together.
  void take_gates(std::size_t tokens);
  std::vector<float> with_gates(const std::vector<float>& q, const std::vector<float>& gates) const;
  std::size_t q_rows() const { return a_.q_size() * (a_.output_gate ? 2 : 1); }

  const model::Architecture& a_;
  model::BlockAttention attention_;
  std::vector<float> sinks_;
  Heads q_, k_;
  std::vector<float> v_, v_before_clip_;
  std::vector<float> gates_, attended_;  ///< (tokens, q_size) with an output gate: the gates, and what they multiply
};

AttentionGradient::AttentionGradient(const model::Model& model, std::size_t block)
    : a_(model.architecture()), attention_(a_.attention[block]) {
  q_ = {.norm = Norm::q, .heads = a_.heads, .norm_weights = model.norm(Norm::q, block)};
  k_ = {.norm = Norm::k, .heads = a_.kv_heads, .norm_weights = model.norm(Norm::k, block)};
  if (a_.sinks) sinks_ = model.vector(model::sinks_name(a_, block), a_.heads);
}

void AttentionGradient::prepare(const Batch& batch, Heads& of) const {
  prepare_heads(a_, attention_, batch, of.norm, of.weights(), of.heads, of.ready.data(), &of.steps);
}

void AttentionGradient::take_gates(std::size_t tokens) {
  const std::vector<float> both = std::move(q_.ready);
  const std::size_t heads = tokens * a_.heads, size = a_.head_dim;
  q_.ready.resize(heads * size);
  gates_.resize(heads * size);
  take_columns(both.data(), heads, 2 * size, 0, size, q_.ready.data());
  take_columns(both.data(), heads, 2 * size, size, size, gates_.data());
}

std::vector<float> AttentionGradient::with_gates(const std::vector<float>& q, const std::vector<float>& gates) const {
  std::vector<float> both(2 * q.size());
  const std::size_t size = a_.head_dim, heads = q.size() / size;
  put_columns(q.data(), heads, 2 * size, 0, size, both.data());
  put_columns(gates.data(), heads, 2 * size, size, size, both.data());
  return both;
}

std::vector<float> AttentionGradient::forward(const Batch& batch, BlockProducts& products, std::span<const float> x) {
  products.multiply(Role::qkv,
                    {{Role::q, q_rows(), q_.ready}, {Role::k, a_.kv_size(), k_.ready}, {Role::v, a_.kv_size(), v_}}, x);
  if (a_.output_gate) take_gates(batch.tokens);
  prepare(batch, q_);
  prepare(batch, k_);
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
  if (!a_.output_gate) return attended;
  attended_ = attended;
  kernel::sigmoid_multiply(attended.data(), a_.q_size(), gates_.data(), a_.q_size(), batch.tokens, a_.q_size());
  return attended;
}

void AttentionGradient::backward(const Batch& batch, BlockProducts& products, std::span<const float> x,
                                 std::vector<float> dy, float* dx) {
  if (a_.output_gate) {
    kernel::sigmoid_multiply_gradient(attended_.data(), a_.q_size(), gates_.data(), a_.q_size(), dy.data(),
                                      batch.tokens, a_.q_size());
    dy = std::move(attended_);
  }
  std::vector<float> dq(q_.ready.size()), dk(k_.ready.size()), dv(v_.size());
  std::vector<kernel::AttentionGradient> calls;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    const std::size_t q = row * a_.q_size(), kv = row * a_.kv_size();
    calls.push_back({.q = q_.ready.data() + q,
                     .k = k_.ready.data() + kv,
                     .v = v_.data() + kv,
                     .dout = dy.data() + q,
                     .dq = dq.data() + q,
                     .dk = dk.data() + kv,
                     .dv = dv.data() + kv,
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
  kernel::attention_gradient(calls, products.precision());
  if (a_.clip_qkv != 0.0f) kernel::clamp_gradient(v_before_clip_.data(), dv.size(), a_.clip_qkv, dv.data());
  prepare_heads_gradient(a_, attention_, batch, Norm::q, q_.weights(), q_.heads, q_.steps, dq.data());
  prepare_heads_gradient(a_, attention_, batch, Norm::k, k_.weights(), k_.heads, k_.steps, dk.data());
  if (a_.output_gate) dq = with_gates(dq, gates_);
  products.gradient(Role::qkv, {{Role::q, q_rows(), dq}, {Role::k, a_.kv_size(), dk}, {Role::v, a_.kv_size(), dv}}, x,
                    dx);
}

}  // namespace

std::unique_ptr<PartGradient> make_attention_gradient(const model::Model& model, std::size_t block) {
  return std::make_unique<AttentionGradient>(model, block);
}

}  // namespace strata::engine
