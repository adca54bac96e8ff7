// A block is rounded step by step, in the order of its forward pass: q, k, v; o; gate, up; down. Each step runs its
// half of the block up to the linears' input, with everything before them rounded already. Experts:
// rounding_experts.cpp.
#include "pipeline/round/rounding.h"

#include <algorithm>

#include "core/error.h"
#include "engine/gradient.h"
#include "engine/norms.h"
#include "kernel/ops.h"
#include "kernel/round_rows.h"
#include "model/damage.h"
#include "quantize/activation_order.h"
#include "quantize/rtn.h"
#include "quantize/shared_sum.h"

namespace strata::pipeline {
namespace {

using engine::Half;
using engine::Site;

constexpr std::size_t kBatchTokens = 2048, kBatchBytes = 256u << 20;
// The correction is a regression: it fits what the calibration text happens to hold unless it is damped far more than
// the feedback (figures: docs/results.md).
constexpr double kCorrectionDamping = 10.0;

std::vector<engine::Sequence> sequences(std::size_t count, std::size_t tokens) {
  return std::vector<engine::Sequence>(count, engine::Sequence{tokens});
}

/// The sequences of a rank.
importance::CalibrationSet share_of(const importance::CalibrationSet& set, const CalibrationParts& parts) {
  const auto at = [&](std::size_t sequence) { return set.sequences.begin() + static_cast<std::ptrdiff_t>(sequence); };
  return {{at(parts.first_sequence()), at(parts.end_sequence())}, set.source};
}

void copy(engine::HiddenStates& from, engine::HiddenStates& to, std::size_t together) {
  for (std::size_t s = 0; s < from.count(); s += together) {
    const std::size_t count = std::min(together, from.count() - s);
    std::copy_n(from.borrow(s, count), count * from.floats(), to.borrow(s, count));
    to.keep();
  }
}

}  // namespace

std::size_t Rounding::floats_per_token(const model::Architecture& a) {
  return 2 * a.hidden + 2 * a.q_size() + 2 * a.kv_size() + 2 * a.dense_size() + a.shared_size + a.mamba.floats();
}

std::uint64_t Rounding::kept_rows_bytes(const model::Architecture& a, std::size_t tokens) {
  return std::uint64_t{tokens} * std::max(a.mixed_size(), a.dense_size()) * sizeof(bf16);
}

std::size_t Rounding::sequences_together(const model::Architecture& a, std::size_t sequences, std::size_t seq_len) {
  const std::size_t tokens = std::min(kBatchTokens, kBatchBytes / (floats_per_token(a) * sizeof(float)));
  return std::clamp<std::size_t>(tokens / seq_len, 1, std::max<std::size_t>(sequences, 1));
}

Rounding::Rounding(const model::Model& model, const std::vector<const codec::Codec*>& codecs,
                   const importance::CalibrationSet& set, const RoundingOptions& options, const RoundingSetup& setup)
    : model_(model),
      codecs_(codecs),
      options_(options),
      gptq_(options.decided()),
      setup_(setup),
      engine_(model, kRoundingPrecision, engine::Residency::one_block),
      scales_(model),
      together_(sequences_together(model.architecture(), set.sequences.size(), set.source.seq_len)),
      parts_(set.sequences.size(), together_, setup.ranks),
      set_(share_of(set, parts_)),
      full_(engine_.make_batch(sequences(together_, set.source.seq_len))),
      rest_(engine_.make_batch(sequences(set_.sequences.size() % together_, set.source.seq_len))),
      states_(set_.sequences.size(), set.source.seq_len * model.architecture().hidden, setup.spill_folder),
      side_(model.architecture(), set_.sequences, setup.spill_folder),
      replacing_(engine_),
      progress_("rounding", codecs.size()) {
  STRATA_CHECK(options.tune.steps == 0 || !setup.ranks.many(), "tuning by {} ranks", setup.ranks.size());
  round_embedding();
  for (std::size_t s = 0; s < set_.sequences.size(); ++s) {
    engine_.embed(set_.sequences[s], states_.borrow(s, 1));
    states_.keep();
  }
  if (options.asymmetric || options.tune.steps > 0)
    original_.emplace(model, set_, kRoundingPrecision, setup.spill_folder);
  if (options.tune.steps > 0 || engine::reads_input(model.architecture(), Half::feed_forward))
    inputs_.emplace(states_.count(), states_.floats(), setup.spill_folder);
}

void Rounding::round_embedding() {
  const std::size_t index = model_.architecture().embedding();
  if (index == model::kNoLinear) return;
  if (!codecs_[index]->has_codes()) return progress_.advance();
  progress_.note("embedding");
  if (is_in_source(index)) {
    embedding_ = model_.as_in_source(index);
  } else {
    const model::LinearWeights held = model_.embedding();
    const MatrixView weights = held.view().dense;
    embedding_ = quantize::quantize_rtn(*codecs_[index], weights, setup_.embedding_importance, setup_.fit,
                                        scales_.of(index, *codecs_[index], weights));
  }
  model_.release(model::embedding_name(model_.architecture()));
  replacing_.set(index, {{}, &embedding_});
  progress_.advance();
}

void Rounding::run(std::size_t block, Half half, const engine::Observer* observer, Site last) {
  const bool reads_input = engine::reads_input(model_.architecture(), half);
  for (std::size_t s = 0; s < states_.count(); s += together_) {
    const std::size_t count = std::min(together_, states_.count() - s);
    engine::Batch& batch = count < together_ ? rest_ : full_;
    float* const states = states_.borrow(s, count);
    side_.lend(batch, s, count);
    batch_states_ = states;
    batch_first_ = s;
    if (last == Site::block_out && rows_.complete())
      finish(block, half, count, states);
    else
      engine_.run_half(half, block, batch, reads_input ? inputs_->borrow(s, count) : states, states, observer, last);
    side_.keep(block, half);
    if (last == Site::block_out) {
      check_finite({states, count * states_.floats()}, block);
      states_.keep();
    }
    progress_.advance(0);
  }
  if (last == Site::block_out) rows_.clear();
}

void Rounding::finish(std::size_t block, Half half, std::size_t sequences, float* states) {
  rows_.get(batch_first_, sequences, finished_);
  engine_.add_output(block, half, finished_.data(), sequences * set_.source.seq_len, states);
}

void Rounding::check_finite(std::span<const float> states, std::size_t block) const {
  if (!kernel::all_finite(states.data(), states.size()))
    model::fail_not_finite(model_, fmt::format("the output of block {} is not finite for the calibration text", block),
                           "the weights are damaged");
}

Rounding::Inputs Rounding::collect(std::size_t block, Site site, std::size_t size) {
  const model::Architecture& a = model_.architecture();
  const bool ends_half = engine::ends_half(a, block, site);
  const auto of = ends_half ? quantize::Drift::Of::output : quantize::Drift::Of::inputs;
  quantize::OrderedSum<quantize::Hessian> hessians([&] { return quantize::Hessian(size); }, parts_.count(),
                                                   parts_.first(), parts_.end());
  quantize::OrderedSum<quantize::CrossMoment> moments(
      [&] { return quantize::CrossMoment(ends_half ? a.hidden : size, size); }, parts_.count(), parts_.first(),
      parts_.end());
  const bool keeps = setup_.keep_rows && ends_half;
  if (ends_half && options_.asymmetric)
    negate_bias(a.linear(block, site == Site::o_in ? model::Role::o : model::Role::down));
  if (keeps) rows_.start(states_.count(), set_.source.seq_len * size);
  const engine::Observer observer = [&](Site at, std::size_t, const float* rows, std::size_t tokens, std::size_t) {
    if (at != site) return;
    if (keeps) rows_.put(batch_first_, tokens / set_.source.seq_len, rows);
    const std::size_t part = parts_.of(batch_first_);
    hessians.of_part(part).add_lower(rows, tokens, kRoundingPrecision);
    if (options_.asymmetric) add_drift(block, site, rows, tokens, of, moments.of_part(part));
  };
  run(block, engine::half_of(site), &observer, site);
  Inputs inputs{quantize::total(hessians, setup_.ranks), {}};
  inputs.hessian.mirror();
  if (options_.asymmetric) inputs.drift.emplace(quantize::Drift{of, quantize::total(moments, setup_.ranks)});
  return inputs;
}

void Rounding::negate_bias(const model::Linear& linear) {
  minus_bias_ = linear.bias ? model_.vector(linear.module + ".bias", linear.rows) : std::vector<float>();
  for (float& value : minus_bias_) value = -value;
}

/// Adds the drift of the batch that runs: `rows` are its rows at the site.
void Rounding::add_drift(std::size_t block, Site site, const float* rows, std::size_t tokens, quantize::Drift::Of of,
                         quantize::CrossMoment& moment) {
  const std::size_t sequences = tokens / set_.source.seq_len;
  if (of == quantize::Drift::Of::inputs) {
    std::vector<float>& differences = original_->rows(block, site, batch_first_, sequences);
    kernel::subtract(differences.data(), rows, differences.size(), differences.data());
    moment.add(differences.data(), rows, tokens, kRoundingPrecision);
    return;
  }
  const Half half = engine::half_of(site);
  differences_.resize(sequences * states_.floats());
  const float* const original = original_->advance(block, half, batch_first_, sequences);
  kernel::subtract(original, batch_states_, differences_.size(), differences_.data());
  if (!minus_bias_.empty()) kernel::add_bias(differences_.data(), minus_bias_.data(), tokens, minus_bias_.size());
  moment.add(differences_.data(), rows, tokens, kRoundingPrecision);
}

void Rounding::take_from_source(std::size_t l) {
  stored_[l] = model_.as_in_source(l);
  results_.push_back({.module = model_.architecture().linears[l].module, .codec = codecs_[l]->name});
  if (setup_.listener) setup_.listener(results_.back());
  progress_.advance();
}

void Rounding::round(std::span<const std::size_t> linears, const Inputs& inputs, const Ranks& ranks,
                     std::optional<std::size_t> routed) {
  Factors factors;
  for (const std::size_t l : linears) {
    if (!codecs_[l]->has_codes())
      progress_.advance();
    else if (is_in_source(l))
      take_from_source(l);
    else
      round_linear(l, inputs, ranks, routed, factors);
  }
}

void Rounding::round_linear(std::size_t l, const Inputs& inputs, const Ranks& ranks, std::optional<std::size_t> routed,
                            Factors& factors) {
  const model::Linear& linear = model_.architecture().linears[l];
  const codec::Codec& codec = *codecs_[l];
  const std::size_t blocks = model_.architecture().blocks;
  const std::string name = linear.block == model::kNoBlock
                               ? linear.module
                               : fmt::format("block {}/{} {}", linear.block + 1, blocks, role_name(linear.role));
  progress_.note(name);
  const model::LinearWeights held = model_.weights(linear);
  MatrixView weights = held.view().dense;
  const float scale = scales_.of(l, codec, weights);
  std::vector<std::uint32_t> order;
  if (gptq_.activation_order) order = quantize::activation_order(codec, inputs.hessian.diagonal());
  auto& [feedback, correction] = factors;
  if (!feedback || feedback->order != order)
    feedback = quantize::factorize(inputs.hessian, *gptq_.damping, std::move(order));
  std::vector<float> corrected;
  if (inputs.drift) {
    if (!correction) correction = quantize::factorize(inputs.hessian, kCorrectionDamping * *gptq_.damping);
    const auto [first, end] = quantize::share_of_rows(ranks, weights.rows);
    corrected = quantize::corrected_weights(weights, *inputs.drift, inputs.hessian, *correction, first, end);
    weights = MatrixView::dense(corrected.data(), weights.rows, weights.cols, DType::f32);
  }
  quantize::GptqResult result = quantize::quantize_gptq(codec, weights, inputs.hessian, *feedback, gptq_,
                                                        {scale, setup_.fit, options_.tune.steps > 0, ranks});
  results_.push_back({linear.module, codec.name, result.relative(),
                      result.energy > 0.0 ? result.nearest_error / result.energy : 0.0, routed,
                      inputs.hessian.tokens()});
  progress_.note(fmt::format("{}, error {:.2e}", name, results_.back().relative_error));
  if (setup_.listener) setup_.listener(results_.back());
  if (options_.tune.steps > 0 && quantize::LearnedRounding::can_learn(codec) && linear.block != model::kNoBlock &&
      engine::why_no_gradient(model_.architecture(), linear.block).empty())
    learned_.try_emplace(l, codec, weights.rows, weights.cols, scale, std::move(result.choice));
  stored_[l] = std::move(result.stored);
  progress_.advance();
}

/// Learns the rounding of the block as a whole. Before and after, states_ are between the halves of the block.
void Rounding::tune(std::size_t block) {
  if (learned_.empty()) return;
  progress_.note(fmt::format("block {}/{} as a whole", block + 1, model_.architecture().blocks));
  tuned_.push_back(tune_block(engine_, block, {*inputs_, side_, original_->states(), set_.source.seq_len}, learned_,
                              options_.tune, [this] { progress_.advance(0); }));
  for (const auto& [l, linear] : learned_) {
    stored_[l] = linear.stored();
    replacing_.set(l, {{}, &stored_.at(l)});
  }
  learned_.clear();
  rows_.clear();
  copy(*inputs_, states_, together_);
  run(block, Half::attention, nullptr, Site::block_out);
}

/// Forgets the linears of the block before, and keeps the states that go into this one where they are read again.
void Rounding::begin_block() {
  for (const auto& [l, stored] : stored_) replacing_.reset(l);
  stored_.clear();
  if (inputs_) copy(states_, *inputs_, together_);
}

void Rounding::round_block(std::size_t block) {
  const model::Architecture& a = model_.architecture();
  const model::BlockLinears& of = a.layout[block];
  const std::size_t behind = of.first + of.count, experts = of.mixture ? of.first_expert : behind;
  begin_block();
  for (std::size_t at = of.first, end = 0; at < behind; at = end) {
    if (at == experts) {
      end = round_experts(block);
      continue;
    }
    const Site site = engine::input_site(a.linears[at].role);
    std::vector<std::size_t> linears;
    for (end = at; end < behind && end != experts && engine::input_site(a.linears[end].role) == site; ++end)
      linears.push_back(end);
    const bool rounded = std::ranges::any_of(linears, [&](std::size_t l) { return must_round(l); });
    round(linears,
          rounded ? collect(block, site, a.linears[at].cols) : Inputs{quantize::Hessian(a.linears[at].cols), {}},
          setup_.ranks);
    for (const std::size_t l : linears)
      if (codecs_[l]->has_codes()) replacing_.set(l, {{}, &stored_.at(l)});
    if (site != Site::o_in) continue;
    run(block, Half::attention, nullptr, Site::block_out);
    if (original_) original_->advance(block, Half::attention);
  }
  if (original_) original_->advance(block, Half::feed_forward);
  tune(block);
  run(block, Half::feed_forward, nullptr, Site::block_out);
  for (const model::Linear& linear : a.block_linears(block)) model_.release(linear.module + ".weight");
}

void Rounding::round_head(std::size_t index) {
  if (is_in_source(index)) return take_from_source(index);
  const model::Architecture& a = model_.architecture();
  quantize::OrderedSum<quantize::Hessian> hessians([&] { return quantize::Hessian(a.hidden); }, parts_.count(),
                                                   parts_.first(), parts_.end());
  const std::vector<float> norm = model_.norm(model::Norm::last);
  std::vector<float> normed(together_ * states_.floats());
  for (std::size_t s = 0; s < states_.count(); s += together_) {
    const std::size_t count = std::min(together_, states_.count() - s), tokens = count * set_.source.seq_len;
    engine::norm_rows(a, states_.borrow(s, count), norm.data(), tokens, normed.data());
    hessians.of_part(parts_.of(s)).add_lower(normed.data(), tokens, kRoundingPrecision);
  }
  Inputs inputs{quantize::total(hessians, setup_.ranks), {}};
  inputs.hessian.mirror();
  round(std::span(&index, 1), inputs, setup_.ranks);
}

}  // namespace strata::pipeline
