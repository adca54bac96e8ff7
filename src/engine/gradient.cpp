// Backward pass of a block in the reverse order of engine.cpp: feed-forward part, then o and the mixer; each half adds
// its gradient to that of the residual stream.
#include "engine/gradient.h"

#include <algorithm>

#include "core/error.h"
#include "engine/mixers/mixers.h"
#include "engine/norms.h"
#include "engine/scale.h"
#include "kernel/ops.h"

namespace strata::engine {
namespace {

using model::Norm;
using model::Role;

Norm norm_after(Half half) { return half == Half::attention ? Norm::after_attention : Norm::after_feed_forward; }

}  // namespace

std::string why_no_gradient(const model::Architecture& architecture, std::size_t block) {
  if (architecture.block_embedding.size != 0) return "a row that every token has for the block is added to its output";
  if (architecture.v_norm) return "its heads of values are normed";
  return std::string(MixerRow::of(architecture, block).why_no_gradient);
}

BlockGradient::BlockGradient(const Engine& engine, std::size_t block, kernel::Precision precision)
    : architecture_(engine.architecture()),
      products_(engine.model(), block, precision),
      norms_(engine.model().norms(model::kStreamNorms, block)) {
  if (architecture_.mixes(block)) {
    const MixerRow& row = MixerRow::of(architecture_, block);
    STRATA_CHECK(row.gradient != nullptr, "{}", row.why_no_gradient);
    mixer_ = row.gradient(engine.model(), block);
  }
  if (!architecture_.feeds(block)) return;
  const PartMaker make = architecture_.layout[block].mixture ? make_experts_gradient : make_gated_gradient;
  feed_forward_ = make(engine.model(), block);
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

void BlockGradient::norm_backward(Norm norm, Norms* norms, const std::vector<float>& x, std::vector<float>& dy) const {
  const float* const weights = weights_of(norm);
  if (weights == nullptr) return;
  const std::size_t tokens = x.size() / architecture_.hidden;
  if (norms != nullptr) {
    std::vector<float>& slope = (*norms)[norm];
    slope.assign(norms_.at(norm).size(), 0.0f);
    norm_rows_weight_gradient(architecture_, x.data(), dy.data(), tokens, slope.data());
  }
  norm_rows_gradient(architecture_, x.data(), weights, dy.data(), tokens, dy.data());
}

void BlockGradient::add_half(Half half, const std::vector<float>& made, const std::vector<float>& h,
                             std::vector<float>& out) const {
  run_norm(norm_after(half), made, out);
  scale(out.data(), out.size(), architecture_.scales.residual);
  kernel::add(out.data(), h.data(), out.size());
}

std::vector<float> BlockGradient::made_gradient(Half half, Norms* norms, const std::vector<float>& made,
                                                const std::vector<float>& dsum) const {
  std::vector<float> d = dsum;
  scale(d.data(), d.size(), architecture_.scales.residual);
  norm_backward(norm_after(half), norms, made, d);
  return d;
}

const float* BlockGradient::forward(const Batch& batch, const float* h, const Linears& linears) {
  products_.use(linears);
  h_.assign(h, h + batch.tokens * architecture_.hidden);
  middle_ = h_;
  if (mixer_) {
    run_norm(Norm::before_attention, h_, attn_in_);
    mixed_ = mixer_->forward(batch, products_, attn_in_);
    o_out_ = products_.multiply(Role::o, mixed_);
    add_half(Half::attention, o_out_, h_, middle_);
  }
  out_ = middle_;
  if (feed_forward_) {
    if (architecture_.parallel)
      mlp_in_ = attn_in_;
    else
      run_norm(Norm::before_feed_forward, middle_, mlp_in_);
    fed_ = feed_forward_->forward(batch, products_, mlp_in_);
    add_half(Half::feed_forward, fed_, middle_, out_);
  }
  return out_.data();
}

void BlockGradient::backward(const Batch& batch, const float* dout, const Linears& linears,
                             const std::vector<bool>& wanted, std::vector<std::vector<float>>& gradients, float* dh,
                             Norms* norms) {
  STRATA_CHECK(norms == nullptr || dh != nullptr);
  products_.use(linears);
  products_.make_gradients(wanted, gradients);
  std::vector<float> d(dout, dout + h_.size()), dmlp_in(h_.size(), 0.0f);
  if (feed_forward_) {
    feed_forward_->backward(batch, products_, mlp_in_, made_gradient(Half::feed_forward, norms, fed_, d),
                            dmlp_in.data());
    if (!architecture_.parallel) {
      norm_backward(Norm::before_feed_forward, norms, middle_, dmlp_in);
      kernel::add(d.data(), dmlp_in.data(), d.size());
    }
  }
  if (mixer_) {
    std::vector<float> dmixed(mixed_.size(), 0.0f), dattn_in(dh == nullptr ? 0 : h_.size(), 0.0f);
    products_.gradient(Role::o, made_gradient(Half::attention, norms, o_out_, d), mixed_, dmixed.data());
    mixer_->backward(batch, products_, attn_in_, std::move(dmixed), dh == nullptr ? nullptr : dattn_in.data());
    if (dh == nullptr) return;
    if (architecture_.parallel) kernel::add(dattn_in.data(), dmlp_in.data(), d.size());  // both read one norm's rows
    norm_backward(Norm::before_attention, norms, h_, dattn_in);
    kernel::add(d.data(), dattn_in.data(), d.size());
  }
  if (dh != nullptr) std::copy(d.begin(), d.end(), dh);
}

}  // namespace strata::engine
