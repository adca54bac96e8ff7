// Latent attention with a backward pass: the counterpart of Engine::attend_expanded in latent_attention.cpp, for whole
// sequences.
#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/threads.h"
#include "engine/mixers/heads_gradient.h"
#include "engine/mixers/latent_keys.h"
#include "engine/part_gradient.h"
#include "engine/scale.h"
#include "kernel/gradients.h"
#include "kernel/ops.h"

namespace strata::engine {
namespace {

using model::Norm;
using model::Role;

class LatentAttentionGradient final : public PartGradient {
 public:
  LatentAttentionGradient(const model::Model& model, std::size_t block);
  std::vector<float> forward(const Batch& batch, BlockProducts& products, std::span<const float> x) override;
  void backward(const Batch& batch, BlockProducts& products, std::span<const float> x, std::vector<float> dy,
                float* dx) override;

 private:
  /// A latent between its linears, (tokens, size): what the first one puts out, and what the second one reads.
  struct Normed {
    std::vector<float> weights = {}, before = {}, after = {};
    void forward(std::vector<float> rows, float epsilon);
    void backward(float epsilon, std::vector<float>& d) const;
  };
  void make_queries(const Batch& batch, BlockProducts& products, std::span<const float> x);
  void make_keys_and_values(const Batch& batch, BlockProducts& products, std::span<const float> x);
  void queries_backward(const Batch& batch, BlockProducts& products, std::span<const float> x, std::vector<float>& dq,
                        float* dx);
  void keys_and_values_backward(const Batch& batch, BlockProducts& products, std::span<const float> x,
                                const std::vector<float>& dk, const std::vector<float>& dv, float* dx);
  std::size_t values() const { return a_.heads * l_.value; }

  const model::Architecture& a_;
  const model::Latent& l_;
  model::BlockAttention attention_;
  Normed of_q_, of_kv_;
  std::vector<float> q_, k_, v_;  ///< (tokens, q_size) twice and (tokens, heads * value)
};

LatentAttentionGradient::LatentAttentionGradient(const model::Model& model, std::size_t block)
    : a_(model.architecture()), l_(a_.latent), attention_(a_.attention[block]) {
  of_q_.weights = model.norm(Norm::q_a, block);
  of_kv_.weights = model.norm(Norm::kv_a, block);
}

void LatentAttentionGradient::Normed::forward(std::vector<float> rows, float epsilon) {
  before = std::move(rows);
  after.resize(before.size());
  kernel::rms_norm(before.data(), weights.data(), before.size() / weights.size(), weights.size(), epsilon,
                   after.data());
}

void LatentAttentionGradient::Normed::backward(float epsilon, std::vector<float>& d) const {
  kernel::rms_norm_gradient(before.data(), weights.data(), d.data(), d.size() / weights.size(), weights.size(), epsilon,
                            d.data());
}

void LatentAttentionGradient::make_queries(const Batch& batch, BlockProducts& products, std::span<const float> x) {
  if (l_.q_rank == 0) {
    q_ = products.multiply(Role::q, x);
  } else {
    of_q_.forward(products.multiply(Role::q_a, x), l_.norm_epsilon);
    q_ = products.multiply(Role::q_b, of_q_.after);
  }
  turn_heads(a_, attention_, batch, q_.data() + l_.plain, a_.q_size(), a_.heads, a_.head_dim);
  if (attention_.scales_query)
    kernel::scale_rows(q_.data(), a_.q_size(), batch.tokens, a_.q_size(), batch.query_factors.data());
}

void LatentAttentionGradient::make_keys_and_values(const Batch& batch, BlockProducts& products,
                                                   std::span<const float> x) {
  const std::size_t tokens = batch.tokens, width = l_.kv_rank + l_.turned;
  const std::vector<float> made = products.multiply(Role::kv_a, x);
  std::vector<float> latents(tokens * l_.kv_rank), turned(tokens * l_.turned);
  take_columns(made.data(), tokens, width, 0, l_.kv_rank, latents.data());
  take_columns(made.data(), tokens, width, l_.kv_rank, l_.turned, turned.data());
  of_kv_.forward(std::move(latents), l_.norm_epsilon);
  turn_heads(a_, attention_, batch, turned.data(), l_.turned, 1, l_.turned);
  const std::vector<float> expanded = products.multiply(Role::kv_b, of_kv_.after);
  k_.resize(tokens * a_.q_size());
  v_.resize(tokens * values());
  spread_keys(a_, expanded.data(), turned.data(), tokens, k_.data(), v_.data());
}

std::vector<float> LatentAttentionGradient::forward(const Batch& batch, BlockProducts& products,
                                                    std::span<const float> x) {
  make_queries(batch, products, x);
  make_keys_and_values(batch, products, x);
  std::vector<float> mixed(batch.tokens * values());
  std::vector<kernel::Attention> calls;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    STRATA_CHECK(s.cache == nullptr);
    calls.push_back(spread_attention(a_, row, s.tokens, q_.data(), k_.data(), v_.data(), mixed.data()));
    row += s.tokens;
  }
  kernel::attention(calls);
  return mixed;
}

void LatentAttentionGradient::queries_backward(const Batch& batch, BlockProducts& products, std::span<const float> x,
                                               std::vector<float>& dq, float* dx) {
  if (attention_.scales_query)
    kernel::scale_rows(dq.data(), a_.q_size(), batch.tokens, a_.q_size(), batch.query_factors.data());
  turn_heads_gradient(a_, attention_, batch, dq.data() + l_.plain, a_.heads, a_.head_dim);
  if (l_.q_rank == 0) return products.gradient(Role::q, dq, x, dx);
  std::vector<float> d(of_q_.after.size(), 0.0f);
  products.gradient(Role::q_b, dq, of_q_.after, d.data());
  of_q_.backward(l_.norm_epsilon, d);
  products.gradient(Role::q_a, d, x, dx);
}

void LatentAttentionGradient::keys_and_values_backward(const Batch& batch, BlockProducts& products,
                                                       std::span<const float> x, const std::vector<float>& dk,
                                                       const std::vector<float>& dv, float* dx) {
  const std::size_t tokens = batch.tokens, heads = tokens * a_.heads, width = l_.kv_rank + l_.turned,
                    both = l_.plain + l_.value;
  std::vector<float> plain(heads * l_.plain), expanded(heads * both), turned(tokens * l_.turned, 0.0f);
  take_columns(dk.data(), heads, a_.head_dim, 0, l_.plain, plain.data());
  put_columns(plain.data(), heads, both, 0, l_.plain, expanded.data());
  put_columns(dv.data(), heads, both, l_.plain, l_.value, expanded.data());
  parallel_for(tokens, [&](std::size_t t) {
    for (std::size_t h = t * a_.heads; h < (t + 1) * a_.heads; ++h)
      for (std::size_t i = 0; i < l_.turned; ++i) turned[t * l_.turned + i] += dk[h * a_.head_dim + l_.plain + i];
  });
  turn_heads_gradient(a_, attention_, batch, turned.data(), 1, l_.turned);
  std::vector<float> d(of_kv_.after.size(), 0.0f), made(tokens * width);
  products.gradient(Role::kv_b, expanded, of_kv_.after, d.data());
  of_kv_.backward(l_.norm_epsilon, d);
  put_columns(d.data(), tokens, width, 0, l_.kv_rank, made.data());
  put_columns(turned.data(), tokens, width, l_.kv_rank, l_.turned, made.data());
  products.gradient(Role::kv_a, made, x, dx);
}

void LatentAttentionGradient::backward(const Batch& batch, BlockProducts& products, std::span<const float> x,
                                       std::vector<float> dy, float* dx) {
  std::vector<float> dq(q_.size()), dk(k_.size()), dv(v_.size());
  std::vector<kernel::AttentionGradient> calls;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    const std::size_t at = row * a_.q_size(), value = row * values();
    calls.push_back({.q = q_.data() + at,
                     .k = k_.data() + at,
                     .v = v_.data() + value,
                     .dout = dy.data() + value,
                     .dq = dq.data() + at,
                     .dk = dk.data() + at,
                     .dv = dv.data() + value,
                     .tokens = s.tokens,
                     .heads = a_.heads,
                     .kv_heads = a_.heads,
                     .head_dim = a_.head_dim,
                     .window = 0,
                     .scale = a_.scales.attention,
                     .v_dim = l_.value});
    row += s.tokens;
  }
  kernel::attention_gradient(calls, products.precision());
  queries_backward(batch, products, x, dq, dx);
  keys_and_values_backward(batch, products, x, dk, dv, dx);
}

}  // namespace

std::unique_ptr<PartGradient> make_latent_attention_gradient(const model::Model& model, std::size_t block) {
  return std::make_unique<LatentAttentionGradient>(model, block);
}

}  // namespace strata::engine
