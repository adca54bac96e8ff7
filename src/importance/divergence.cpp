// Logits of changed models are made and compared a few tokens at a time, so that only the original's are held.
// The numbers are the same for any number of threads.
#include "importance/divergence.h"

#include <algorithm>

#include "core/error.h"
#include "core/statistics.h"
#include "core/threads.h"
#include "importance/rounding_error.h"
#include "importance/weights.h"
#include "quantize/rtn.h"

namespace strata::importance {
namespace {

constexpr std::size_t kLogitRows = 128;
constexpr std::size_t kNone = static_cast<std::size_t>(-1);
constexpr auto kFit = codec::ScaleFit::search;

/// The tensor-level scale that a group's linears share; each is read alone, since a group can be all experts of a
/// block.
float shared_scale(const model::Model& model, const model::FusionGroup& group, const codec::Codec& codec) {
  float absmax = 0;
  if (codec.tensor_scaled)
    for (const std::size_t l : group.linears)
      absmax = std::max(absmax, DenseLinear(model, model.architecture().linears[l]).absmax());
  return codec::tensor_scale(codec, absmax);
}

}  // namespace

DivergenceMeter::DivergenceMeter(engine::Engine& engine, const CalibrationSet& set, std::size_t tokens,
                                 MeterProducts products)
    : engine_(engine) {
  const model::Architecture& a = engine.architecture();
  std::vector<engine::Sequence> sequences;
  for (const auto& sequence : set.sequences) {
    if (ids_.size() >= tokens) break;
    ids_.insert(ids_.end(), sequence.begin(), sequence.end());
    sequences.push_back({sequence.size()});
    for (std::size_t t = 0; t + 1 < sequence.size(); ++t) scored_.push_back(nll_.size()), nll_.push_back(0.0);
    scored_.push_back(kNone);
  }
  batch_ = engine.make_batch(sequences);
  batch_.ids = ids_;
  shared_.resize(ids_.size() * a.shared_size);
  before_.assign(a.blocks + 1, {});
  before_[0].resize(ids_.size() * a.hidden);
  if (products == MeterProducts::changes) record_.emplace();
  {
    const engine::Recording recording(engine, record_ ? &*record_ : nullptr);
    rebase(0);
  }
  logits_.resize(ids_.size() * a.vocab);
  engine.logits(before_[a.blocks].data(), ids_.size(), logits_.data());
  rows_.resize(ids_.size());
  parallel_for(rows_.size(), [&](std::size_t t) {
    rows_[t] = kernel::softmax_row(&logits_[t * a.vocab], a.vocab);
    note_nll(t, &logits_[t * a.vocab], rows_[t]);
  });
}

void DivergenceMeter::note_nll(std::size_t token, const float* logits, const kernel::SoftmaxRow& row) {
  if (scored_[token] != kNone) nll_[scored_[token]] = row.log_sum_exp - static_cast<double>(logits[ids_[token + 1]]);
}

std::vector<double> DivergenceMeter::measure(std::size_t block) {
  const auto alike = alike_in_batches();
  const engine::Following following(engine_, record_ ? &*record_ : nullptr);
  std::vector<float> h = before_[block], shared = shared_;
  batch_.shared = shared.data();
  if (block == 0) engine_.embed(batch_, ids_, h.data());
  for (std::size_t b = block; b < engine_.architecture().blocks; ++b)
    if (cut_.empty() || !cut_[b]) engine_.run_block(b, batch_, h.data());
  batch_.shared = nullptr;
  return divergence(h.data());
}

std::unique_ptr<engine::AlikeInBatches> DivergenceMeter::alike_in_batches() {
  return record_ ? nullptr : std::make_unique<engine::AlikeInBatches>(engine_);
}

std::vector<double> DivergenceMeter::measure_sequences(std::size_t block) {
  const std::vector<double> of_token = measure(block);
  std::vector<double> result;
  std::size_t first = 0;
  for (const engine::Sequence& sequence : batch_.sequences) {
    result.push_back(estimate(std::span(of_token).subspan(first, sequence.tokens)).mean);
    first += sequence.tokens;
  }
  return result;
}

void DivergenceMeter::rebase(std::size_t block) {
  const auto alike = alike_in_batches();
  if (block == 0) engine_.embed(batch_, ids_, before_[0].data());
  batch_.shared = shared_.data();
  for (std::size_t b = block; b < engine_.architecture().blocks; ++b) {
    before_[b + 1] = before_[b];
    engine_.run_block(b, batch_, before_[b + 1].data());
  }
}

std::vector<double> DivergenceMeter::divergence(const float* h) {
  const std::size_t hidden = engine_.architecture().hidden, vocab = engine_.architecture().vocab;
  std::vector<double> result(batch_.tokens);
  std::vector<float> changed(std::min(kLogitRows + kernel::kFewTokens, batch_.tokens) * vocab);
  for (std::size_t first = 0, count = 0; first < batch_.tokens; first += count) {
    // Few rows at the end would be multiplied in another way than the same rows of a longer text.
    const std::size_t left = batch_.tokens - first;
    count = left <= kLogitRows + kernel::kFewTokens ? left : kLogitRows;
    if (record_ && !engine_.head_replaced()) {
      compare_changes(h, first, count, changed.data(), result.data());
      continue;
    }
    engine_.logits(h + first * hidden, count, changed.data());
    parallel_for(count, [&](std::size_t i) {
      const float* row = &changed[i * vocab];
      const kernel::SoftmaxRow softmax = kernel::softmax_row(row, vocab);
      result[first + i] = kernel::kl_divergence(&logits_[(first + i) * vocab], rows_[first + i], row, softmax, vocab);
      note_nll(first + i, row, softmax);
    });
  }
  return result;
}

void DivergenceMeter::compare_changes(const float* h, std::size_t first, std::size_t count, float* changed,
                                      double* result) {
  const std::size_t hidden = engine_.architecture().hidden, vocab = engine_.architecture().vocab;
  engine_.logits_change(h + first * hidden, before_.back().data() + first * hidden, count, changed);
  parallel_for(count, [&](std::size_t i) {
    const std::size_t token = first + i;
    const float* const logits = &logits_[token * vocab];
    const kernel::RowChange change = kernel::kl_divergence_of_change(logits, rows_[token], changed + i * vocab, vocab);
    result[token] = change.kl_divergence;
    if (scored_[token] == kNone) return;
    const std::size_t next = ids_[token + 1];
    nll_[scored_[token]] = rows_[token].log_sum_exp + change.log_ratio - static_cast<double>(logits[next]) -
                           static_cast<double>(changed[i * vocab + next]);
  });
}

RoundedGroup::RoundedGroup(const model::Model& model, const model::FusionGroup& group, const codec::Codec& codec,
                           const InputMeanSquare& inputs, codec::ActivationRounding::Kind reads, bool rounds)
    : linears_(group.linears) {
  const float scale = rounds ? shared_scale(model, group, codec) : 0.0f;
  stored_.reserve(linears_.size());
  for (const std::size_t l : linears_) {
    const model::Linear& linear = model.architecture().linears[l];
    reads_.push_back(inputs.rounding(linear, reads));
    if (model.source_codec(l) == &codec)
      stored_.push_back(model.as_in_source(l));
    else if (!rounds)
      stored_.push_back(codec::allocate(codec, linear.rows, linear.cols));
    else
      stored_.push_back(
          quantize::quantize_rtn(codec, DenseLinear(model, linear).view(), inputs.of(linear), kFit, scale));
  }
}

void RoundedGroup::share(const Ranks& ranks, std::size_t from) {
  for (codec::Stored& stored : stored_)
    for (std::vector<std::byte>& part : stored.parts) ranks.broadcast(std::span(part), from);
}

double relative_error(const model::Model& model, const model::FusionGroup& group, const codec::Codec& codec,
                      const InputMeanSquare& inputs) {
  const float scale = shared_scale(model, group, codec);
  double sum = 0;
  for (const std::size_t l : group.linears) {
    if (model.source_codec(l) == &codec) continue;
    const model::Linear& linear = model.architecture().linears[l];
    const DenseLinear dense(model, linear);
    sum += quantize::weighted_error(codec, sampled_rows(dense.view()), inputs.of(linear), kFit, scale).relative();
  }
  return sum;
}

bool fits(const codec::Codec& codec, const model::Architecture& a, const model::FusionGroup& group) {
  return std::ranges::all_of(group.linears, [&](std::size_t l) {
    return codec::why_not(codec, a.linears[l].rows, a.linears[l].cols).empty();
  });
}

void RoundedGroup::put_into(engine::Replacing& replacing) const {
  for (std::size_t i = 0; i < linears_.size(); ++i) replacing.set(linears_[i], {{}, &stored_[i]}, reads_[i]);
}

void restore(engine::Replacing& replacing, const model::FusionGroup& group) {
  for (const std::size_t l : group.linears) replacing.reset(l);
}

}  // namespace strata::importance
