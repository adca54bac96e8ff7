// The steps of heads.cpp in reverse order, each undone by its gradient in kernel/gradients.h.
#include "engine/mixers/heads_gradient.h"

#include "kernel/gradients.h"
#include "kernel/ops.h"

namespace strata::engine {

void turn_heads_gradient(const model::Architecture& a, const model::BlockAttention& attention, const Batch& batch,
                         float* d, std::size_t heads, std::size_t head_size) {
  if (attention.rope == model::kNoRope) return;
  const Angles& angles = batch.angles[attention.rope];
  const auto turn = a.ropes[attention.rope].interleaved ? kernel::rope_interleaved_gradient : kernel::rope_gradient;
  turn(d, batch.tokens, heads, head_size, angles.cos.data(), angles.sin.data(), angles.half);
}

void prepare_heads_gradient(const model::Architecture& a, const model::BlockAttention& attention, const Batch& batch,
                            model::Norm norm, const float* weights, std::size_t heads, const HeadSteps& steps,
                            float* d) {
  const std::size_t head_dim = a.head_size(attention), width = heads * head_dim, count = batch.tokens * width;
  if (attention.scales_query && norm == model::Norm::q)
    kernel::scale_rows(d, width, batch.tokens, width, batch.query_factors.data());
  if (a.qk_l2 && attention.rope != model::kNoRope)
    kernel::l2_norm_gradient(steps.before_l2.data(), d, batch.tokens * heads, head_dim, a.norm_epsilon, d);
  const auto norm_gradient = [&] {
    const std::size_t size = head_norm_size(a, attention, heads);
    kernel::rms_norm_gradient(steps.before_norm.data(), weights, d, count / size, size, a.norm_epsilon, d);
  };
  if (weights != nullptr && a.qk_norm_turned) norm_gradient();
  turn_heads_gradient(a, attention, batch, d, heads, head_dim);
  if (a.clip_qkv != 0.0f) kernel::clamp_gradient(steps.before_clip.data(), count, a.clip_qkv, d);
  if (weights != nullptr && !a.qk_norm_turned) norm_gradient();
}

}  // namespace strata::engine
