// Only a block's input is kept: running the block again costs a third of its backward pass, and keeping what happens
// within would take a dozen times the memory.
#include "engine/model_gradient.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/threads.h"
#include "engine/norms.h"
#include "engine/scale.h"
#include "kernel/gradients.h"
#include "kernel/ops.h"

namespace strata::engine {
namespace {

constexpr std::size_t kHeadRows = 4096;  // rows of the head that are transposed at a time
constexpr std::size_t kCapRows = 128;    // tokens whose logits are made again at a time

/// Rows [first, first + count) of a matrix, dense or stored, as f32 in `out`.
void widen(const kernel::Weights& weights, std::size_t first, std::size_t count, std::vector<float>& out) {
  const std::size_t cols = weights.cols();
  out.resize(count * cols);
  parallel_for(count, [&](std::size_t r) { kernel::read_row(weights, first + r, out.data() + r * cols); });
}

}  // namespace

std::string why_no_gradient(const model::Architecture& architecture) {
  for (std::size_t b = 0; b < architecture.blocks; ++b)
    if (const std::string why = why_no_gradient(architecture, b); !why.empty())
      return fmt::format("block {}: {}", b, why);
  return "";
}

ModelGradient::ModelGradient(const Engine& engine, kernel::Precision precision)
    : engine_(engine),
      a_(engine.architecture()),
      precision_(precision),
      head_(a_.tied ? engine.model().packed_embedding() : engine.model().packed(a_.linears[a_.lm_head()])),
      final_norm_(engine.model().norm(model::Norm::last)),
      head_bias_(engine.model().head_bias()) {
  if (const std::string why = why_no_gradient(a_); !why.empty())
    fail("{}: has no gradients here: {}", engine.model().path().string(), why);
  for (std::size_t b = 0; b < a_.blocks; ++b) norms_.push_back(engine.model().norms(model::kStreamNorms, b));
}

const BlockGradient::Linears& ModelGradient::linears(std::size_t block) {
  const auto span = a_.block_linears(block);
  weights_.resize(span.size());
  views_.assign(span.size(), {});
  for (std::size_t i = 0; i < span.size(); ++i) {
    if (span[i].routed()) continue;
    const model::LinearWeights held = engine_.model().packed(span[i]);
    widen(held.view(), 0, span[i].rows, weights_[i]);
    views_[i] = {MatrixView::dense(weights_[i].data(), span[i].rows, span[i].cols, DType::f32), nullptr};
  }
  return views_;
}

BlockGradient ModelGradient::block(std::size_t b) const {
  BlockGradient gradient(engine_, b, precision_);
  gradient.set_norms(norms_[b]);
  return gradient;
}

Batch ModelGradient::with_sides(const Batch& batch) {
  Batch full = batch;
  full.ids = ids_;
  full.shared = shared_.data();
  full.shared_gradient = shared_gradient_.data();
  if (!embedded_gradient_.empty()) full.embedded_gradient = embedded_gradient_.data();
  return full;
}

std::vector<float>& ModelGradient::forward(const Batch& batch, std::span<const Token> tokens,
                                           const std::function<void()>& between) {
  ids_.assign(tokens.begin(), tokens.end());
  shared_.resize(batch.tokens * a_.shared_size);
  const Batch full = with_sides(batch);
  inputs_.assign(a_.blocks + 1, {});
  inputs_[0].resize(batch.tokens * a_.hidden);
  engine_.embed(batch, tokens, inputs_[0].data());
  for (std::size_t b = 0; b < a_.blocks; ++b) {
    BlockGradient gradient = block(b);
    const float* const out = gradient.forward(full, inputs_[b].data(), linears(b));
    inputs_[b + 1].assign(out, out + inputs_[b].size());
    between();
  }
  normed_.resize(batch.tokens * a_.hidden);
  norm_rows(a_, inputs_.back().data(), final_norm_.data(), batch.tokens, normed_.data());
  logits_.resize(batch.tokens * a_.vocab);
  kernel::matmul(normed_.data(), a_.hidden, batch.tokens, head_.view(), logits_.data(), a_.vocab, precision_);
  if (!head_bias_.empty()) kernel::add_bias(logits_.data(), head_bias_.data(), batch.tokens, a_.vocab);
  scale(logits_.data(), logits_.size(), a_.scales.logits);
  cap(logits_.data(), logits_.size(), a_.logit_softcap);
  return logits_;
}

void ModelGradient::undo_cap(std::size_t tokens) {
  scale(logits_.data(), logits_.size(), a_.scales.logits);
  if (a_.logit_softcap == 0.0f) return;
  // Logits before the cap are made again, a few rows at a time: there is no room for all of them twice.
  std::vector<float> before(std::min(tokens, kCapRows) * a_.vocab);
  for (std::size_t first = 0; first < tokens; first += kCapRows) {
    const std::size_t count = std::min(kCapRows, tokens - first);
    kernel::matmul(normed_.data() + first * a_.hidden, a_.hidden, count, head_.view(), before.data(), a_.vocab,
                   precision_);
    if (!head_bias_.empty()) kernel::add_bias(before.data(), head_bias_.data(), count, a_.vocab);
    parallel_for(count, [&](std::size_t t) {
      for (std::size_t i = 0; i < a_.vocab; ++i) {
        const float y = std::tanh(before[t * a_.vocab + i] * a_.scales.logits / a_.logit_softcap);
        logits_[(first + t) * a_.vocab + i] *= 1.0f - y * y;
      }
    });
  }
}

void ModelGradient::undo_first_norm(const Batch& batch, std::vector<float>& dh) const {
  const Embedding embedding(engine_.model());
  std::vector<float> rows(dh.size());
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    embedding.look_up(embedding.table.view(), std::span(ids_).subspan(row, s.tokens), 0, &rows[row * a_.hidden]);
    row += s.tokens;
  }
  embedding.norm_gradient(rows.data(), batch.tokens, dh.data());
}

/// The gradient by what the head reads, (tokens, hidden), from that by what it puts out, which logits_ holds.
std::vector<float> ModelGradient::head_backward(std::size_t tokens) const {
  const std::size_t hidden = a_.hidden;
  std::vector<float> sum(tokens * hidden, 0.0f), part(sum.size()), rows, turned;
  for (std::size_t first = 0; first < a_.vocab; first += kHeadRows) {
    const std::size_t count = std::min(kHeadRows, a_.vocab - first);
    widen(head_.view(), first, count, rows);
    turned.resize(rows.size());
    kernel::transpose(rows.data(), hidden, count, hidden, turned.data());
    kernel::matmul(logits_.data() + first, a_.vocab, tokens,
                   {MatrixView::dense(turned.data(), hidden, count, DType::f32), nullptr}, part.data(), hidden,
                   precision_);
    kernel::add(sum.data(), part.data(), sum.size());
  }
  return sum;
}

void ModelGradient::backward(const Batch& batch, const GradientWatch& watch, const std::function<void()>& between) {
  const std::size_t tokens = batch.tokens;
  const std::vector<float>& last = inputs_[a_.blocks];
  undo_cap(tokens);
  if (watch.head) watch.head(logits_, normed_);
  std::vector<float> dh = head_backward(tokens);
  std::vector<float> slope(watch.final_norm ? final_norm_.size() : 0, 0.0f);
  if (watch.final_norm) norm_rows_weight_gradient(a_, last.data(), dh.data(), tokens, slope.data());
  norm_rows_gradient(a_, last.data(), final_norm_.data(), dh.data(), tokens, dh.data());
  if (watch.final_norm) watch.final_norm(slope);
  shared_gradient_.assign(shared_.size(), 0.0f);
  embedded_gradient_.assign(a_.block_embedding.size == 0 ? 0 : dh.size(), 0.0f);
  const Batch full = with_sides(batch);
  std::vector<std::vector<float>> none;
  for (std::size_t b = a_.blocks; b-- > 0;) {
    BlockGradient gradient = block(b);
    if (watch.linears)
      gradient.watch([&](std::size_t i, const LinearRows& rows) { watch.linears(a_.layout[b].first + i, rows); });
    const BlockGradient::Linears& weights = linears(b);
    gradient.forward(full, inputs_[b].data(), weights);
    none.resize(weights.size());
    BlockGradient::Norms slopes;
    gradient.backward(full, dh.data(), weights, std::vector<bool>(weights.size(), false), none, dh.data(),
                      watch.norms ? &slopes : nullptr);
    if (watch.norms) watch.norms(b, slopes);
    between();
  }
  if (!embedded_gradient_.empty()) kernel::add(dh.data(), embedded_gradient_.data(), dh.size());
  if (watch.embedding && a_.has(model::Norm::first)) undo_first_norm(batch, dh);
  scale(dh.data(), dh.size(), a_.scales.embedding);
  if (watch.embedding) watch.embedding(dh);
}

}  // namespace strata::engine
