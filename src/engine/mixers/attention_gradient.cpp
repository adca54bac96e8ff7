// Attention with a backward pass: the counterpart of attention.cpp for whole sequences. The backward pass undoes the
// operations in reverse order, each by its gradient in kernel/gradients.h.
#include <utility>

#include "core/error.h"
#include "engine/mixers/heads_gradient.h"
#include "engine/mixers/output_gate.h"
#include "engine/part_gradient.h"
#include "engine/scale.h"
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
  void prepare_backward(const Batch& batch, const Heads& of, std::vector<float>& d) const;
  /// Makes v_ of what its linear put out.
  void prepare_values(std::size_t tokens);
  void prepare_values_backward(std::size_t tokens, std::vector<float>& dv) const;
  /// Calls use(parts) with those of the linears that read the block's input and are there.
  template <class Use>
  void with_parts(std::vector<float>& q, std::vector<float>& k, std::vector<float>& v, const Use& use) const;
  /// Calls visit(first column, rows) with the keys and then the values among what blocks leave to each other.
  template <class Visit>
  void for_shared(std::vector<float>& k, std::vector<float>& v, const Visit& visit) const;
  /// Takes the keys and values of the block whose keys this one reads, or leaves its own to later ones.
  void share_keys(const Batch& batch);
  void share_gradients(const Batch& batch, std::vector<float>& dk, std::vector<float>& dv) const;
  /// Where q's linear holds a gate behind every head: what it puts out is taken apart, and gradients are put together.
  void take_gates(std::size_t tokens);
  std::vector<float> with_gates(const std::vector<float>& q, const std::vector<float>& gates) const;

  bool own_keys() const { return attention_.keys_of == model::kOwnKeys; }

  const model::Architecture& a_;
  std::size_t block_;
  model::BlockAttention attention_;
  std::size_t head_dim_, q_size_, kv_size_;
  std::size_t shared_at_;  ///< of the keys that this block reads or leaves to others; model::kNotShared: it does not
  std::vector<float> sinks_, slopes_;
  Heads q_, k_;
  std::vector<float> v_, v_before_clip_, v_before_norm_;
  std::vector<float> gates_, attended_;  ///< with an output gate: the gates, and (tokens, q_size) what they multiply
};

AttentionGradient::AttentionGradient(const model::Model& model, std::size_t block)
    : a_(model.architecture()),
      block_(block),
      attention_(a_.attention[block]),
      head_dim_(a_.head_size(attention_)),
      q_size_(a_.q_size(block)),
      kv_size_(a_.kv_size(block)),
      shared_at_(own_keys() ? attention_.shared_at : a_.attention[attention_.keys_of].shared_at) {
  q_ = {.norm = Norm::q, .heads = a_.heads_of(attention_), .norm_weights = model.norm(Norm::q, block)};
  k_ = {.norm = Norm::k, .heads = a_.kv_heads_of(attention_), .norm_weights = model.norm(Norm::k, block)};
  slopes_ = alibi_slopes(a_);
  if (a_.sinks) sinks_ = model.vector(model::sinks_name(a_, block), q_.heads);
}

void AttentionGradient::prepare(const Batch& batch, Heads& of) const {
  prepare_heads(a_, attention_, batch, of.norm, of.weights(), of.heads, of.ready.data(), &of.steps);
}

void AttentionGradient::prepare_backward(const Batch& batch, const Heads& of, std::vector<float>& d) const {
  prepare_heads_gradient(a_, attention_, batch, of.norm, of.weights(), of.heads, of.steps, d.data());
}

void AttentionGradient::prepare_values(std::size_t tokens) {
  if (a_.clip_qkv != 0.0f) {
    v_before_clip_ = v_;
    kernel::clamp(v_.data(), v_.size(), a_.clip_qkv);
  }
  if (!a_.v_norm) return;
  v_before_norm_ = v_;
  kernel::l2_norm(v_.data(), tokens * k_.heads, head_dim_, a_.norm_epsilon, v_.data());
}

void AttentionGradient::prepare_values_backward(std::size_t tokens, std::vector<float>& dv) const {
  if (a_.v_norm)
    kernel::l2_norm_gradient(v_before_norm_.data(), dv.data(), tokens * k_.heads, head_dim_, a_.norm_epsilon,
                             dv.data());
  if (a_.clip_qkv != 0.0f) kernel::clamp_gradient(v_before_clip_.data(), dv.size(), a_.clip_qkv, dv.data());
}

template <class Use>
void AttentionGradient::with_parts(std::vector<float>& q, std::vector<float>& k, std::vector<float>& v,
                                   const Use& use) const {
  using Parts = std::initializer_list<BlockProducts::Part>;
  const BlockProducts::Part of_q{Role::q, q_size_ * (a_.output_gate == model::OutputGate::in_q ? 2 : 1), q},
      of_k{Role::k, kv_size_, k}, of_v{Role::v, kv_size_, v};
  if (!own_keys()) return use(Parts{of_q});
  if (attention_.k_is_v) return use(Parts{of_q, of_k});
  use(Parts{of_q, of_k, of_v});
}

template <class Visit>
void AttentionGradient::for_shared(std::vector<float>& k, std::vector<float>& v, const Visit& visit) const {
  visit(shared_at_, k);
  visit(shared_at_ + kv_size_, v);
}

void AttentionGradient::share_keys(const Batch& batch) {
  STRATA_CHECK(own_keys() || batch.shared != nullptr, "keys of block {} are read", attention_.keys_of);
  if (shared_at_ == model::kNotShared || batch.shared == nullptr) return;
  for_shared(k_.ready, v_, [&](std::size_t at, std::vector<float>& rows) {
    rows.resize(batch.tokens * kv_size_);
    if (own_keys())
      put_columns(rows.data(), batch.tokens, a_.shared_size, at, kv_size_, batch.shared);
    else
      take_columns(batch.shared, batch.tokens, a_.shared_size, at, kv_size_, rows.data());
  });
}

void AttentionGradient::share_gradients(const Batch& batch, std::vector<float>& dk, std::vector<float>& dv) const {
  if (shared_at_ == model::kNotShared || batch.shared_gradient == nullptr) return;
  std::vector<float> left(dk.size());
  for_shared(dk, dv, [&](std::size_t at, std::vector<float>& d) {
    take_columns(batch.shared_gradient, batch.tokens, a_.shared_size, at, kv_size_, left.data());
    kernel::add(d.data(), left.data(), d.size());
    if (!own_keys()) put_columns(d.data(), batch.tokens, a_.shared_size, at, kv_size_, batch.shared_gradient);
  });
}

void AttentionGradient::take_gates(std::size_t tokens) {
  const std::vector<float> both = std::move(q_.ready);
  const std::size_t heads = tokens * q_.heads, size = head_dim_;
  q_.ready.resize(heads * size);
  gates_.resize(heads * size);
  take_columns(both.data(), heads, 2 * size, 0, size, q_.ready.data());
  take_columns(both.data(), heads, 2 * size, size, size, gates_.data());
}

std::vector<float> AttentionGradient::with_gates(const std::vector<float>& q, const std::vector<float>& gates) const {
  std::vector<float> both(2 * q.size());
  const std::size_t size = head_dim_, heads = q.size() / size;
  put_columns(q.data(), heads, 2 * size, 0, size, both.data());
  put_columns(gates.data(), heads, 2 * size, size, size, both.data());
  return both;
}

std::vector<float> AttentionGradient::forward(const Batch& batch, BlockProducts& products, std::span<const float> x) {
  with_parts(q_.ready, k_.ready, v_, [&](const auto& parts) { products.multiply(Role::qkv, parts, x); });
  if (a_.output_gate == model::OutputGate::in_q) take_gates(batch.tokens);
  if (a_.output_gate == model::OutputGate::apart) gates_ = products.multiply(Role::out_gate, x);
  prepare(batch, q_);
  if (own_keys()) {
    if (attention_.k_is_v) v_ = k_.ready;
    prepare(batch, k_);
    prepare_values(batch.tokens);
  }
  share_keys(batch);
  std::vector<float> attended(q_.ready.size());
  std::vector<kernel::Attention> calls;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    STRATA_CHECK(s.cache == nullptr);
    const std::size_t q = row * q_size_, kv = row * kv_size_;
    calls.push_back({.q = q_.ready.data() + q,
                     .q_stride = q_size_,
                     .k = k_.ready.data() + kv,
                     .v = v_.data() + kv,
                     .kv_stride = kv_size_,
                     .out = attended.data() + q,
                     .out_stride = q_size_,
                     .tokens = s.tokens,
                     .first_position = 0,
                     .heads = q_.heads,
                     .kv_heads = k_.heads,
                     .head_dim = head_dim_,
                     .window = attention_.window,
                     .scale = a_.scales.attention,
                     .softcap = a_.attention_softcap,
                     .sinks = a_.sinks ? sinks_.data() : nullptr,
                     .chunk = attention_.chunk,
                     .slopes = slopes_.empty() ? nullptr : slopes_.data()});
    row += s.tokens;
  }
  kernel::attention(calls);
  if (a_.output_gate == model::OutputGate::none) return attended;
  attended_ = attended;
  apply_gates(a_, block_, batch.tokens, gates_.data(), attended.data());
  return attended;
}

void AttentionGradient::backward(const Batch& batch, BlockProducts& products, std::span<const float> x,
                                 std::vector<float> dy, float* dx) {
  if (a_.output_gate != model::OutputGate::none) {
    gates_gradient(a_, block_, batch.tokens, dy.data(), gates_.data(), attended_.data());
    dy = std::move(attended_);
  }
  std::vector<float> dq(q_.ready.size()), dk(k_.ready.size()), dv(v_.size());
  std::vector<kernel::AttentionGradient> calls;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    const std::size_t q = row * q_size_, kv = row * kv_size_;
    calls.push_back({.q = q_.ready.data() + q,
                     .k = k_.ready.data() + kv,
                     .v = v_.data() + kv,
                     .dout = dy.data() + q,
                     .dq = dq.data() + q,
                     .dk = dk.data() + kv,
                     .dv = dv.data() + kv,
                     .tokens = s.tokens,
                     .heads = q_.heads,
                     .kv_heads = k_.heads,
                     .head_dim = head_dim_,
                     .window = attention_.window,
                     .scale = a_.scales.attention,
                     .softcap = a_.attention_softcap,
                     .sinks = a_.sinks ? sinks_.data() : nullptr,
                     .chunk = attention_.chunk,
                     .slopes = slopes_.empty() ? nullptr : slopes_.data()});
    row += s.tokens;
  }
  kernel::attention_gradient(calls, products.precision());
  share_gradients(batch, dk, dv);
  prepare_backward(batch, q_, dq);
  if (own_keys()) {
    prepare_values_backward(batch.tokens, dv);
    prepare_backward(batch, k_, dk);
    if (attention_.k_is_v) kernel::add(dk.data(), dv.data(), dk.size());
  }
  if (a_.output_gate == model::OutputGate::in_q) dq = with_gates(dq, gates_);
  if (a_.output_gate == model::OutputGate::apart) products.gradient(Role::out_gate, gates_, x, dx);
  with_parts(dq, dk, dv, [&](const auto& parts) { products.gradient(Role::qkv, parts, x, dx); });
}

}  // namespace

std::unique_ptr<PartGradient> make_attention_gradient(const model::Model& model, std::size_t block) {
  return std::make_unique<AttentionGradient>(model, block);
}

}  // namespace strata::engine
