// A block in four steps, in the order of its forward pass: q, k, v; o; gate, up; down. Each step runs its half of the
// block up to the linears' input with everything before it rounded already; a finished half gives the next one's input.
// Experts are in rounding_experts.cpp.
#include "pipeline/rounding.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "kernel/ops.h"
#include "quantize/rtn.h"

namespace strata::pipeline {
namespace {

using engine::Site;

constexpr std::size_t kBatchTokens = 4096;
constexpr kernel::Precision kPrecision = kernel::Precision::bf16;

std::vector<engine::Sequence> sequences(std::size_t count, std::size_t tokens) {
  return std::vector<engine::Sequence>(count, engine::Sequence{tokens});
}

}  // namespace

Rounding::Rounding(const model::Model& model, const std::vector<const codec::Codec*>& codecs,
                   const importance::CalibrationSet& set, const quantize::GptqOptions& options,
                   std::span<const float> embedding_importance)
    : model_(model),
      codecs_(codecs),
      set_(set),
      options_(options),
      engine_(model, kPrecision, engine::Residency::one_block),
      scales_(model),
      together_(std::clamp<std::size_t>(kBatchTokens / set.source.seq_len, 1, set.sequences.size())),
      full_(engine_.make_batch(sequences(together_, set.source.seq_len))),
      rest_(engine_.make_batch(sequences(set.sequences.size() % together_, set.source.seq_len))),
      states_(set.sequences.size() * set.source.seq_len * model.architecture().hidden),
      progress_("rounding", codecs.size()) {
  round_embedding(embedding_importance);
  const std::size_t size = set.source.seq_len * model.architecture().hidden;
  for (std::size_t s = 0; s < set.sequences.size(); ++s) engine_.embed(set.sequences[s], states_.data() + s * size);
}

void Rounding::round_embedding(std::span<const float> importance) {
  const std::size_t index = model_.architecture().embedding();
  if (index == model::kNoBlock) return;
  progress_.note("embedding");
  const model::LinearWeights held = model_.embedding();
  const MatrixView weights = held.view().dense;
  embedding_ = quantize::quantize_rtn(*codecs_[index], weights, importance, options_.fit,
                                      scales_.of(index, *codecs_[index], weights));
  engine_.replace(index, {{}, &embedding_});
  progress_.advance();
}

void Rounding::run(std::size_t block, bool attention, const engine::Observer* observer, Site last) {
  const std::size_t size = set_.source.seq_len * model_.architecture().hidden;
  for (std::size_t s = 0; s < set_.sequences.size(); s += together_) {
    const engine::Batch& batch = set_.sequences.size() - s < together_ ? rest_ : full_;
    if (attention)
      engine_.attend(block, batch, states_.data() + s * size, observer, last);
    else
      engine_.feed_forward(block, batch, states_.data() + s * size, observer, last);
    progress_.advance(0);
  }
}

quantize::Hessian Rounding::collect(std::size_t block, Site site, std::size_t size) {
  quantize::Hessian hessian(size);
  const engine::Observer observer = [&](Site at, std::size_t, const float* rows, std::size_t tokens, std::size_t) {
    if (at == site) hessian.add(rows, tokens, kPrecision);
  };
  run(block, site == Site::attn_in || site == Site::o_in, &observer, site);
  return hessian;
}

void Rounding::round(std::span<const std::size_t> linears, const quantize::Hessian& hessian,
                     std::optional<std::size_t> routed) {
  for (const std::size_t l : linears) {
    const model::Linear& linear = model_.architecture().linears[l];
    const codec::Codec& codec = *codecs_[l];
    progress_.note(linear.block == model::kNoBlock ? linear.module
                                                   : fmt::format("block {} {}", linear.block, role_name(linear.role)));
    const model::LinearWeights held = model_.weights(linear);
    const MatrixView weights = held.view().dense;
    const float scale = scales_.of(l, codec, weights);
    quantize::GptqResult result = quantize::quantize_gptq(codec, weights, hessian, options_, scale);
    if (codec.has_codes())
      results_.push_back({linear.module, codec.name, result.relative(),
                          result.energy > 0.0 ? result.nearest_error / result.energy : 0.0, routed, hessian.tokens()});
    stored_[l] = std::move(result.stored);
    progress_.advance();
  }
}

void Rounding::round_block(std::size_t block) {
  const model::Architecture& a = model_.architecture();
  const bool mixture = a.layout[block].mixture;
  const std::size_t first = a.layout[block].first;
  const std::size_t behind = mixture ? a.index(block, model::Role::gate, 0) : first + a.layout[block].count;
  for (const auto& [l, stored] : stored_) engine_.restore(l);
  stored_.clear();
  for (std::size_t at = first, end = 0; at < behind; at = end) {
    const Site site = engine::input_site(a.linears[at].role);
    std::vector<std::size_t> linears;
    bool coded = false;
    for (end = at; end < behind && engine::input_site(a.linears[end].role) == site; ++end) {
      linears.push_back(end);
      coded = coded || codecs_[end]->has_codes();
    }
    round(linears, coded ? collect(block, site, a.linears[at].cols) : quantize::Hessian(a.linears[at].cols));
    for (const std::size_t l : linears) engine_.replace(l, {{}, &stored_.at(l)});
    if (site == Site::o_in) run(block, true, nullptr, Site::block_out);
  }
  if (mixture) round_experts(block);
  run(block, false, nullptr, Site::block_out);
  for (const float h : states_)
    if (!std::isfinite(h))
      fail("{}: the output of block {} is not finite for the calibration text; the weights are damaged",
           model_.path().string(), block);
  for (const model::Linear& linear : a.block_linears(block)) model_.release(linear.module + ".weight");
}

void Rounding::round_head(std::size_t index) {
  const model::Architecture& a = model_.architecture();
  quantize::Hessian hessian(a.hidden);
  if (codecs_[index]->has_codes()) {
    const std::vector<float> norm = model_.vector("model.norm.weight", a.hidden);
    std::vector<float> normed(kBatchTokens * a.hidden);
    const std::size_t tokens = states_.size() / a.hidden;
    for (std::size_t t = 0; t < tokens; t += kBatchTokens) {
      const std::size_t some = std::min(kBatchTokens, tokens - t);
      kernel::rms_norm(states_.data() + t * a.hidden, norm.data(), some, a.hidden, a.norm_epsilon, normed.data());
      hessian.add(normed.data(), some, kPrecision);
    }
  }
  round(std::span(&index, 1), hessian);
}

/// Experts that keep their weights are made when they are asked for, since a block of them is large.
const codec::Stored& Rounding::kept_expert(std::size_t index) {
  const model::Linear& linear = model_.architecture().linears[index];
  const model::LinearWeights held = model_.weights(linear);
  const MatrixView weights = held.view().dense;
  kept_ =
      quantize::quantize_rtn(*codecs_[index], weights, {}, options_.fit, scales_.of(index, *codecs_[index], weights));
  model_.release(linear.module + ".weight");
  progress_.advance();
  return kept_;
}

const codec::Stored& Rounding::linear(std::size_t index) {
  const model::Architecture& a = model_.architecture();
  if (index == a.embedding()) return embedding_;
  const std::size_t block = std::min(a.linears[index].block, a.blocks);
  for (; next_ <= block; ++next_) {
    if (next_ < a.blocks)
      round_block(next_);
    else
      round_head(index);
  }
  if (a.linears[index].routed() && !codecs_[index]->has_codes()) return kept_expert(index);
  STRATA_CHECK(stored_.contains(index), "{} of block {}, but block {} is next", a.linears[index].module, block, next_);
  return stored_.at(index);
}

}  // namespace strata::pipeline
