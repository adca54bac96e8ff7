// The order of the steps is that of transformers: modeling_llama.py and its kin, modeling_olmoe.py (clip),
// modeling_llama4.py and modeling_hunyuan_v1_dense.py (norms after the rotary embedding).
#include "engine/mixers/heads.h"

#include "kernel/ops.h"

namespace strata::engine {

std::size_t head_norm_size(const model::Architecture& a, const model::BlockAttention& attention, std::size_t heads) {
  return a.head_size(attention) * (a.qk_norm == model::QkNorm::whole ? heads : 1);
}

void turn_heads(const model::Architecture& a, const model::BlockAttention& attention, const Batch& batch, float* rows,
                std::size_t stride, std::size_t heads, std::size_t head_size) {
  if (attention.rope == model::kNoRope) return;
  const Angles& angles = batch.angles[attention.rope];
  const auto turn = a.ropes[attention.rope].interleaved ? kernel::rope_interleaved : kernel::rope;
  turn(rows, stride, batch.tokens, heads, head_size, angles.cos.data(), angles.sin.data(), angles.half);
}

void prepare_heads(const model::Architecture& a, const model::BlockAttention& attention, const Batch& batch,
                   model::Norm norm, const float* weights, std::size_t heads, float* rows, HeadSteps* steps) {
  const std::size_t head_dim = a.head_size(attention), width = heads * head_dim, count = batch.tokens * width;
  const auto keep = [&](std::vector<float> HeadSteps::*step) {
    if (steps != nullptr) (steps->*step).assign(rows, rows + count);
  };
  const auto norm_rows = [&] {
    keep(&HeadSteps::before_norm);
    const std::size_t size = head_norm_size(a, attention, heads);
    kernel::rms_norm(rows, weights, count / size, size, a.norm_epsilon, rows);
  };
  if (weights != nullptr && !a.qk_norm_turned) norm_rows();
  if (a.clip_qkv != 0.0f) {
    keep(&HeadSteps::before_clip);
    kernel::clamp(rows, count, a.clip_qkv);
  }
  turn_heads(a, attention, batch, rows, width, heads, head_dim);
  if (weights != nullptr && a.qk_norm_turned) norm_rows();
  if (a.qk_l2 && attention.rope != model::kNoRope) {
    keep(&HeadSteps::before_l2);
    kernel::l2_norm(rows, batch.tokens * heads, head_dim, a.norm_epsilon, rows);
  }
  if (attention.scales_query && norm == model::Norm::q)
    kernel::scale_rows(rows, width, batch.tokens, width, batch.query_factors.data());
}

}  // namespace strata::engine
