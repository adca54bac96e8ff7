// One forward pass for all families, reading the Architecture: norm, attention, norm, feed-forward, residual sums.
// The order of operations follows transformers' modeling_llama.py and its kin; experts are in experts.cpp.
#include "engine/engine.h"

#include <algorithm>
#include <cmath>

#include "core/threads.h"
#include "engine/activation.h"
#include "engine/block_embedding.h"
#include "engine/mixers/mixers.h"
#include "engine/norms.h"
#include "engine/scale.h"
#include "kernel/ops.h"

namespace strata::engine {
namespace {

using model::Norm;
using model::Role;

/// The angles of all rows of a batch, whose sequences and number of tokens are set.
Angles angles_of(const model::Rope& rope, const Batch& batch) {
  const std::size_t half = rope.dims / 2;
  Angles angles{half, std::vector<float>(batch.tokens * half), std::vector<float>(batch.tokens * half)};
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    const std::size_t first = s.cache != nullptr ? s.cache->positions : 0;
    const std::size_t last = first + std::max<std::size_t>(s.tokens, 1) - 1;
    const std::vector<double> frequencies = model::inverse_frequencies(rope, last);
    const double factor = model::attention_factor(rope, last);
    for (std::size_t t = 0; t < s.tokens; ++t, ++row)
      for (std::size_t i = 0; i < half; ++i) {
        const double angle = static_cast<double>(first + t) * frequencies[i];
        angles.cos[row * half + i] = static_cast<float>(factor * std::cos(angle));
        angles.sin[row * half + i] = static_cast<float>((rope.backwards ? -1.0 : 1.0) * factor * std::sin(angle));
      }
  }
  return angles;
}

/// The factors of q at every row of a batch.
std::vector<float> query_factors(const model::QueryScale& scale, const Batch& batch) {
  std::vector<float> factors;
  for (const Sequence& s : batch.sequences)
    for (std::size_t t = 0; t < s.tokens; ++t) {
      const auto position = static_cast<double>((s.cache != nullptr ? s.cache->positions : 0) + t);
      const double stretches = std::floor((position + scale.first) / scale.length);
      factors.push_back(static_cast<float>(1.0 + scale.beta * std::log1p(stretches)));
    }
  return factors;
}

}  // namespace

float* Engine::sized(std::vector<float>& buffer, std::size_t size) {
  if (buffer.size() < size) buffer.resize(size);
  return buffer.data();
}

namespace {
const model::Architecture& runnable(const model::Model& model) {
  model.require_runnable();
  return model.architecture();
}
}  // namespace

Engine::Engine(const model::Model& model, kernel::Precision precision, Residency residency)
    : model_(model),
      architecture_(runnable(model)),
      precision_(precision),
      residency_(resolved(residency, model)),
      embedding_(model),
      final_norm_(model.norm(Norm::last)),
      blocks_(architecture_.blocks),
      replaced_(architecture_.linears.size()) {
  if (!architecture_.tied) lm_head_ = model.packed(architecture_.linears[architecture_.lm_head()]);
  head_bias_ = model.head_bias();
  if (architecture_.block_embedding.size != 0) block_embedding_ = block_embedding_weights(model);
}

Batch Engine::make_batch(std::span<const Sequence> sequences) const {
  Batch batch;
  batch.sequences.assign(sequences.begin(), sequences.end());
  const std::size_t most = architecture_.whole_positions;
  for (const Sequence& s : sequences) {
    batch.tokens += s.tokens;
    if (const std::size_t end = (s.cache != nullptr ? s.cache->positions : 0) + s.tokens; most != 0 && end > most)
      fail(
          "a text of {} tokens is longer than the {} that this model reads whole; beyond them its indexer chooses what "
          "is read, which strata does not compute",
          end, most);
  }
  for (const model::Rope& rope : architecture_.ropes) batch.angles.push_back(angles_of(rope, batch));
  if (architecture_.query_scale.beta != 0) batch.query_factors = query_factors(architecture_.query_scale, batch);
  return batch;
}

void Engine::embed(std::span<const Token> tokens, float* h, std::size_t first) const {
  embedding_.look_up(embedding(), tokens, first, h);
  embedding_.norm(tokens.size(), h);
}

void Engine::embed(const Batch& batch, std::span<const Token> tokens, float* h) const {
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    embed(tokens.subspan(row, s.tokens), h + row * architecture_.hidden, s.cache != nullptr ? s.cache->positions : 0);
    row += s.tokens;
  }
}

const float* Engine::normed(const BlockWeights& w, Norm norm, const float* x, std::size_t tokens) {
  const auto it = w.norms.find(norm);
  if (it == w.norms.end()) return x;
  float* y = sized(normed_, tokens * architecture_.hidden);
  norm_rows(architecture_, x, it->second.data(), tokens, y);
  return y;
}

void Engine::add_half(const BlockWeights& w, Half half, float* out, std::size_t tokens, float* h) const {
  const model::Architecture& a = architecture_;
  const auto norm = w.norms.find(half == Half::attention ? Norm::after_attention : Norm::after_feed_forward);
  if (norm != w.norms.end()) norm_rows(a, out, norm->second.data(), tokens, out);
  scale(out, tokens * a.hidden, a.scales.residual);
  kernel::add(h, out, tokens * a.hidden);
}

void Engine::attend(std::size_t block, const Batch& batch, const float* from, float* h, const Observer* observer,
                    Site last) {
  if (!architecture_.mixes(block)) return;
  BlockWeights& w = block_weights(block);
  const model::Architecture& a = architecture_;
  const float* x = normed(w, Norm::before_attention, from, batch.tokens);
  observe(observer, Site::attn_in, block, x, batch.tokens, a.hidden);
  if (last == Site::attn_in) return;
  const float* mixed = (this->*MixerRow::of(a, block).forward)(w, block, batch, x, observer, last);
  if (mixed == nullptr) return;
  observe(observer, Site::o_in, block, mixed, batch.tokens, a.mixed_size(block));
  if (last != Site::o_in) add_output(block, Half::attention, mixed, batch.tokens, h);
}

void Engine::add_output(std::size_t block, Half half, const float* rows, std::size_t tokens, float* h) {
  BlockWeights& w = block_weights(block);
  float* out = sized(projected_, tokens * architecture_.hidden);
  multiply(w, architecture_.index(block, half == Half::attention ? Role::o : Role::down), rows, tokens, out);
  add_half(w, half, out, tokens, h);
}

bool Engine::run_gated(BlockWeights& w, std::size_t block, std::size_t expert, const float* x, std::size_t tokens,
                       float* y, const std::function<void(const float* rows, std::size_t size)>& show, Site last) {
  const model::Architecture& a = architecture_;
  const std::size_t size = a.linear(block, Role::down, expert).cols;
  float* gate = sized(gate_, tokens * size);
  float* up = a.gated ? sized(up_, tokens * size) : nullptr;
  const bool routed = expert < a.experts.count;
  if (!a.gated) {
    multiply(w, a.index(block, Role::up, expert), x, tokens, gate);
  } else if (!routed && a.has(block, Role::gate_up)) {
    const float* both = multiply_fused(w, a.index(block, Role::gate_up), x, tokens);
    take_columns(both, tokens, 2 * size, 0, size, gate);
    take_columns(both, tokens, 2 * size, size, size, up);
  } else {
    multiply(w, a.index(block, Role::gate, expert), x, tokens, gate);
    multiply(w, a.index(block, Role::up, expert), x, tokens, up);
  }
  activate(a, w.xielu, gate, up, tokens * size);
  show(gate, size);
  if (last == Site::down_in) return false;
  multiply(w, a.index(block, Role::down, expert), gate, tokens, y);
  return true;
}

void Engine::feed_forward(std::size_t block, const Batch& batch, const float* from, float* h, const Observer* observer,
                          Site last) {
  if (!architecture_.feeds(block)) return;
  BlockWeights& w = block_weights(block);
  const model::Architecture& a = architecture_;
  const std::size_t tokens = batch.tokens;
  const bool mixture = a.layout[block].mixture, shared = mixture && a.experts.shared_intermediate != 0;
  const float* x =
      normed(w, a.has(Norm::before_feed_forward) || !a.parallel ? Norm::before_feed_forward : Norm::before_attention,
             from, tokens);
  float* out = sized(projected_, tokens * a.hidden);
  observe(observer, Site::mlp_in, block, x, tokens, a.hidden);
  const bool to_routed = last == Site::mlp_in || last == Site::down_in || last == Site::experts_in;
  if (mixture && watch_ != nullptr && to_routed) {
    add_experts(w, block, x, from, tokens, out, observer, last);
    return;
  }
  if (last == Site::mlp_in) return;
  if (!mixture || shared) {
    const std::size_t expert = shared ? model::kSharedExpert : model::kNoExpert;
    const auto show = [&](const float* rows, std::size_t size) {
      observe(observer, Site::down_in, block, rows, tokens, size);
    };
    if (!run_gated(w, block, expert, x, tokens, out, show, last)) return;
  }
  if (mixture) {
    if (last == Site::down_in) return;
    if (!shared) std::fill_n(out, tokens * a.hidden, 0.0f);
    if (!add_experts(w, block, x, from, tokens, out, observer, last)) return;
  }
  std::vector<float> sum;  // in place of h, which a pass that ends at a site leaves as it was
  if (last != Site::block_out) sum.assign(h, h + tokens * a.hidden);
  float* const to = last == Site::block_out ? h : sum.data();
  add_half(w, Half::feed_forward, out, tokens, to);
  finish_block(w, block, batch, to, observer, last);
}

void Engine::run_half(Half half, std::size_t block, const Batch& batch, const float* from, float* h,
                      const Observer* observer, Site last) {
  if (half == Half::attention)
    attend(block, batch, from, h, observer, last);
  else
    feed_forward(block, batch, from, h, observer, last);
}

void Engine::run_block(std::size_t block, const Batch& batch, float* h, const Observer* observer) {
  observe(observer, Site::block_in, block, h, batch.tokens, architecture_.hidden);
  const bool keeps = reads_input(architecture_, Half::feed_forward);
  std::vector<float> input;
  if (keeps) input.assign(h, h + batch.tokens * architecture_.hidden);
  attend(block, batch, h, h, observer);
  feed_forward(block, batch, keeps ? input.data() : h, h, observer);
  observe(observer, Site::block_out, block, h, batch.tokens, architecture_.hidden);
}

void Engine::logits(const float* h, std::size_t rows, float* out, const Observer* observer) {
  const model::Architecture& a = architecture_;
  float* normed = sized(normed_, rows * a.hidden);
  norm_rows(a, h, final_norm_.data(), rows, normed);
  const float* const read = lm_head_ ? as_read(a.lm_head(), normed, rows) : normed;
  product(read, rows, head(), out);
  if (!head_bias_.empty()) kernel::add_bias(out, head_bias_.data(), rows, a.vocab);
  scale(out, rows * a.vocab, a.scales.logits);
  cap(out, rows * a.vocab, a.logit_softcap);
  observe(observer, Site::logits, a.blocks, out, rows, a.vocab);
}

std::vector<float> Engine::forward(std::span<const Token> tokens, std::span<const Sequence> sequences,
                                   const Observer* observer) {
  Batch batch = make_batch(sequences);
  STRATA_CHECK(batch.tokens == tokens.size(), "{} tokens in sequences of {}", tokens.size(), batch.tokens);
  batch.ids.assign(tokens.begin(), tokens.end());
  std::vector<float> shared(batch.tokens * architecture_.shared_size);
  batch.shared = shared.data();
  std::vector<float> h(tokens.size() * architecture_.hidden);
  embed(batch, tokens, h.data());
  for (std::size_t block = 0; block < architecture_.blocks; ++block) run_block(block, batch, h.data(), observer);
  for (const Sequence& s : sequences)
    if (s.cache != nullptr) s.cache->positions += s.tokens;
  return h;
}

}  // namespace strata::engine
