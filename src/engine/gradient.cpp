// Backward pass of a block in the reverse order of engine.cpp: what is added of its own rows, the feed-forward part,
// then o and the mixer; each adds its gradient to that of the residual stream.
#include "engine/gradient.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "engine/mixers/mixers.h"
#include "engine/scale.h"
#include "kernel/ops.h"
#include "model/tensors.h"

namespace strata::engine {
namespace {

using model::Norm;
using model::Role;

Norm norm_after(Half half) { return half == Half::attention ? Norm::after_attention : Norm::after_feed_forward; }

}  // namespace

std::string why_no_gradient(const model::Architecture& architecture, std::size_t block) {
  return std::string(MixerRow::of(architecture, block).why_no_gradient);
}

BlockGradient::BlockGradient(const Engine& engine, std::size_t block, kernel::Precision precision)
    : architecture_(engine.architecture()),
      products_(engine.model(), block, precision),
      norms_(std::make_unique<StreamNorms>(engine.model(), block)) {
  if (architecture_.mixes(block)) {
    const MixerRow& row = MixerRow::of(architecture_, block);
    STRATA_CHECK(row.gradient != nullptr, "{}", row.why_no_gradient);
    mixer_ = row.gradient(engine.model(), block);
  }
  if (architecture_.block_scale)
    scale_ = engine.model().vector(model::block_scale_name(architecture_, block), 1).front();
  if (architecture_.block_embedding.size != 0) embedding_.emplace(engine, block);
  if (!architecture_.feeds(block)) return;
  shares_norm_ = architecture_.parallel && !architecture_.has(Norm::before_feed_forward);
  const bool mixture = architecture_.layout[block].mixture;
  reads_stream_ = mixture && architecture_.experts.beside_dense;
  if (reads_stream_)
    feed_forward_ = make_dense_beside_gradient(engine.model(), block, *norms_);
  else
    feed_forward_ = (mixture ? make_experts_gradient : make_gated_gradient)(engine.model(), block);
}

void BlockGradient::add_half(Half half, const std::vector<float>& made, const std::vector<float>& h,
                             std::vector<float>& out) const {
  norms_->run(norm_after(half), made, out);
  scale(out.data(), out.size(), architecture_.scales.residual);
  kernel::add(out.data(), h.data(), out.size());
}

std::vector<float> BlockGradient::made_gradient(Half half, const std::vector<float>& made,
                                                const std::vector<float>& dsum) const {
  std::vector<float> d = dsum;
  scale(d.data(), d.size(), architecture_.scales.residual);
  norms_->backward(norm_after(half), made, d);
  return d;
}

const float* BlockGradient::forward(const Batch& batch, const float* h, const Linears& linears) {
  products_.use(linears);
  h_.assign(h, h + batch.tokens * architecture_.hidden);
  middle_ = h_;
  if (mixer_) {
    norms_->run(Norm::before_attention, h_, attn_in_);
    mixed_ = mixer_->forward(batch, products_, attn_in_);
    o_out_ = products_.multiply(Role::o, mixed_);
    add_half(Half::attention, o_out_, h_, middle_);
  }
  out_ = middle_;
  if (feed_forward_) {
    const std::vector<float>& from = architecture_.parallel ? h_ : middle_;
    if (shares_norm_)
      mlp_in_ = attn_in_;
    else if (reads_stream_)
      mlp_in_ = from;
    else
      norms_->run(Norm::before_feed_forward, from, mlp_in_);
    fed_ = feed_forward_->forward(batch, products_, mlp_in_);
    add_half(Half::feed_forward, fed_, middle_, out_);
  }
  if (embedding_) embedding_->forward(batch, products_, *norms_, out_);
  scale(out_.data(), out_.size(), scale_);
  return out_.data();
}

void BlockGradient::feed_forward_backward(const Batch& batch, std::vector<float>& d, std::vector<float>& beside) {
  std::vector<float> dmlp_in(d.size(), 0.0f);
  feed_forward_->backward(batch, products_, mlp_in_, made_gradient(Half::feed_forward, fed_, d), dmlp_in.data());
  if (!shares_norm_ && !reads_stream_)
    norms_->backward(Norm::before_feed_forward, architecture_.parallel ? h_ : middle_, dmlp_in);
  if (architecture_.parallel)
    beside = std::move(dmlp_in);
  else
    kernel::add(d.data(), dmlp_in.data(), d.size());
}

void BlockGradient::mixer_backward(const Batch& batch, std::vector<float>& d, const std::vector<float>& beside,
                                   bool wants_input) {
  std::vector<float> dmixed(mixed_.size(), 0.0f), dx(wants_input ? d.size() : 0, 0.0f);
  products_.gradient(Role::o, made_gradient(Half::attention, o_out_, d), mixed_, dmixed.data());
  mixer_->backward(batch, products_, attn_in_, std::move(dmixed), wants_input ? dx.data() : nullptr);
  if (!wants_input) return;
  if (!beside.empty() && shares_norm_) kernel::add(dx.data(), beside.data(), d.size());
  norms_->backward(Norm::before_attention, h_, dx);
  if (!beside.empty() && !shares_norm_) kernel::add(dx.data(), beside.data(), d.size());
  kernel::add(d.data(), dx.data(), d.size());
}

void BlockGradient::backward(const Batch& batch, const float* dout, const Linears& linears,
                             const std::vector<bool>& wanted, std::vector<std::vector<float>>& gradients, float* dh,
                             Norms* norms) {
  STRATA_CHECK(norms == nullptr || dh != nullptr);
  products_.use(linears);
  products_.make_gradients(wanted, gradients);
  norms_->make_slopes(norms);
  std::vector<float> d(dout, dout + h_.size()), beside;
  scale(d.data(), d.size(), scale_);
  if (embedding_) embedding_->backward(batch, products_, *norms_, d);
  if (feed_forward_) feed_forward_backward(batch, d, beside);
  if (mixer_) mixer_backward(batch, d, beside, dh != nullptr);
  norms_->make_slopes(nullptr);
  if (dh != nullptr) std::copy(d.begin(), d.end(), dh);
}

}  // namespace strata::engine
