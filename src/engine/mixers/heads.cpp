// The order of the steps is that of transformers: modeling_llama.py and its kin, modeling_olmoe.py (clip),
// modeling_llama4.py and modeling_hunyuan_v1_dense.py (norms after the rotary embedding).
#include "engine/mixers/heads.h"

#include <cmath>

#include "kernel/ops.h"

namespace strata::engine {

std::vector<float> alibi_slopes(const model::Architecture& a) {
  if (a.alibi == 0.0f) return {};
  std::size_t steps = 1;
  while (steps < a.heads) steps *= 2;
  std::vector<float> slopes;
  // With a number of heads between two powers of 2 the slopes of the larger one are taken, every other first.
  for (const std::size_t from : {steps == a.heads ? std::size_t{1} : std::size_t{2}, std::size_t{1}})
    for (std::size_t i = from; i <= steps && slopes.size() < a.heads; i += steps == a.heads ? 1 : 2)
      slopes.push_back(static_cast<float>(
          std::exp2(-static_cast<double>(i) * static_cast<double>(a.alibi) / static_cast<double>(steps))));
  return slopes;
}

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
