// One forward pass for all families, reading the Architecture: norm, attention, norm, feed-forward, residual sums.
// The order of operations follows transformers' modeling_llama.py and its kin; experts are in experts.cpp.
#include "engine/engine.h"

#include <algorithm>
#include <cmath>

#include "core/threads.h"
#include "engine/scale.h"
#include "kernel/ops.h"

namespace strata::engine {
namespace {

using model::Norm;
using model::Role;

void observe(const Observer* observer, Site site, std::size_t block, const float* rows, std::size_t tokens,
             std::size_t size) {
  if (observer != nullptr && *observer) (*observer)(site, block, rows, tokens, size);
}

/// The angles of all rows of a batch, whose sequences and number of tokens are set.
Angles angles_of(const model::Rope& rope, const Batch& batch) {
  const std::size_t half = rope.dims / 2;
  Angles angles{half, std::vector<float>(batch.tokens * half), std::vector<float>(batch.tokens * half)};
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    const std::size_t first = s.cache != nullptr ? s.cache->positions : 0;
    const std::vector<double> frequencies =
        model::inverse_frequencies(rope, first + std::max<std::size_t>(s.tokens, 1) - 1);
    for (std::size_t t = 0; t < s.tokens; ++t, ++row)
      for (std::size_t i = 0; i < half; ++i) {
        const double angle = static_cast<double>(first + t) * frequencies[i];
        angles.cos[row * half + i] = static_cast<float>(std::cos(angle));
        angles.sin[row * half + i] = static_cast<float>(std::sin(angle));
      }
  }
  return angles;
}

/// gate = activation(gate) * up.
void activate(model::Activation activation, float* gate, const float* up, std::size_t count) {
  if (activation == model::Activation::silu)
    kernel::silu_multiply(gate, up, count);
  else
    kernel::gelu_multiply(gate, up, count);
}

}  // namespace

float* Engine::sized(std::vector<float>& buffer, std::size_t size) {
  if (buffer.size() < size) buffer.resize(size);
  return buffer.data();
}

Engine::Engine(const model::Model& model, kernel::Precision precision, Residency residency)
    : model_(model),
      architecture_(model.architecture()),
      precision_(precision),
      residency_(residency),
      embedding_(model.packed_embedding()),
      final_norm_(model.norm(Norm::last)),
      blocks_(architecture_.blocks),
      replaced_(architecture_.linears.size()) {
  if (!architecture_.tied) lm_head_ = model.packed(architecture_.linears[architecture_.lm_head()]);
}

Batch Engine::make_batch(std::span<const Sequence> sequences) const {
  Batch batch;
  batch.sequences.assign(sequences.begin(), sequences.end());
  for (const Sequence& s : sequences) batch.tokens += s.tokens;
  for (const model::Rope& rope : architecture_.ropes) batch.angles.push_back(angles_of(rope, batch));
  return batch;
}

void Engine::embed(std::span<const Token> tokens, float* h) const {
  const kernel::Weights table = embedding();
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    if (tokens[t] >= architecture_.vocab)
      fail("token {} is outside the vocabulary of {}; the tokenizer belongs to another model", tokens[t],
           architecture_.vocab);
    kernel::read_row(table, tokens[t], h + t * architecture_.hidden);
  }
  scale(h, tokens.size() * architecture_.hidden, architecture_.scales.embedding);
}

const float* Engine::normed(const BlockWeights& w, Norm norm, const float* x, std::size_t tokens) {
  const auto it = w.norms.find(norm);
  if (it == w.norms.end()) return x;
  float* y = sized(normed_, tokens * architecture_.hidden);
  kernel::rms_norm(x, it->second.data(), tokens, architecture_.hidden, architecture_.norm_epsilon, y);
  return y;
}

void Engine::prepare_heads(const BlockWeights& w, std::size_t block, const Batch& batch, Norm norm, std::size_t heads,
                           float* rows) const {
  const model::Architecture& a = architecture_;
  const std::size_t tokens = batch.tokens, size = heads * a.head_dim;
  if (a.qk_norm == model::QkNorm::per_head)
    kernel::rms_norm(rows, w.norms.at(norm).data(), tokens * heads, a.head_dim, a.norm_epsilon, rows);
  else if (a.qk_norm == model::QkNorm::whole)
    kernel::rms_norm(rows, w.norms.at(norm).data(), tokens, size, a.norm_epsilon, rows);
  const Angles& angles = batch.angles[a.attention[block].rope];
  kernel::rope(rows, size, tokens, heads, a.head_dim, angles.cos.data(), angles.sin.data(), angles.half);
}

void Engine::add_half(const BlockWeights& w, Half half, float* out, std::size_t tokens, float* h) const {
  const model::Architecture& a = architecture_;
  const auto norm = w.norms.find(half == Half::attention ? Norm::after_attention : Norm::after_feed_forward);
  if (norm != w.norms.end()) kernel::rms_norm(out, norm->second.data(), tokens, a.hidden, a.norm_epsilon, out);
  scale(out, tokens * a.hidden, a.scales.residual);
  kernel::add(h, out, tokens * a.hidden);
}

void Engine::attend(std::size_t block, const Batch& batch, float* h, const Observer* observer, Site last) {
  BlockWeights& w = block_weights(block);
  const model::Architecture& a = architecture_;
  const std::size_t tokens = batch.tokens;
  float* q = sized(q_, tokens * a.q_size());
  float* k = sized(k_, tokens * a.kv_size());
  float* v = sized(v_, tokens * a.kv_size());
  float* attended = sized(attended_, tokens * a.q_size());

  const float* x = normed(w, Norm::before_attention, h, tokens);
  observe(observer, Site::attn_in, block, x, tokens, a.hidden);
  if (last == Site::attn_in) return;
  multiply(w, a.index(block, Role::q), x, tokens, q);
  multiply(w, a.index(block, Role::k), x, tokens, k);
  multiply(w, a.index(block, Role::v), x, tokens, v);
  prepare_heads(w, block, batch, Norm::q, a.heads, q);
  prepare_heads(w, block, batch, Norm::k, a.kv_heads, k);

  std::vector<kernel::Attention> calls;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    kernel::Attention call{};
    call.q = q + row * a.q_size();
    call.q_stride = call.out_stride = a.q_size();
    call.out = attended + row * a.q_size();
    call.k = k + row * a.kv_size();
    call.v = v + row * a.kv_size();
    if (s.cache != nullptr) {
      std::vector<float>& keys = s.cache->keys[block];
      std::vector<float>& values = s.cache->values[block];
      keys.insert(keys.end(), call.k, call.k + s.tokens * a.kv_size());
      values.insert(values.end(), call.v, call.v + s.tokens * a.kv_size());
      call.k = keys.data();
      call.v = values.data();
      call.first_position = s.cache->positions;
    }
    call.kv_stride = a.kv_size();
    call.tokens = s.tokens;
    call.heads = a.heads;
    call.kv_heads = a.kv_heads;
    call.head_dim = a.head_dim;
    call.window = a.attention[block].window;
    call.scale = a.scales.attention;
    calls.push_back(call);
    row += s.tokens;
  }
  kernel::attention(calls);
  observe(observer, Site::o_in, block, attended, tokens, a.q_size());
  if (last != Site::o_in) add_output(block, Half::attention, attended, tokens, h);
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
  const std::size_t size = a.linear(block, Role::gate, expert).rows;
  float* gate = sized(gate_, tokens * size);
  float* up = sized(up_, tokens * size);
  multiply(w, a.index(block, Role::gate, expert), x, tokens, gate);
  multiply(w, a.index(block, Role::up, expert), x, tokens, up);
  activate(a.activation, gate, up, tokens * size);
  show(gate, size);
  if (last == Site::down_in) return false;
  multiply(w, a.index(block, Role::down, expert), gate, tokens, y);
  return true;
}

void Engine::feed_forward(std::size_t block, const Batch& batch, float* h, const Observer* observer, Site last) {
  BlockWeights& w = block_weights(block);
  const model::Architecture& a = architecture_;
  const std::size_t tokens = batch.tokens;
  const bool mixture = a.layout[block].mixture, shared = mixture && a.experts.shared_intermediate != 0;
  const float* x = normed(w, Norm::before_feed_forward, h, tokens);
  float* out = sized(projected_, tokens * a.hidden);
  observe(observer, Site::mlp_in, block, x, tokens, a.hidden);
  if (mixture && watch_ != nullptr && last != Site::block_out) return mix_experts(w, block, x, tokens, out, last);
  if (last == Site::mlp_in) return;
  if (!mixture || shared) {
    const std::size_t expert = shared ? model::kSharedExpert : model::kNoExpert;
    const auto show = [&](const float* rows, std::size_t size) {
      observe(observer, Site::down_in, block, rows, tokens, size);
    };
    if (!run_gated(w, block, expert, x, tokens, out, show, last)) return;
  }
  if (mixture) {
    if (last != Site::block_out) return;
    if (!shared) std::fill_n(out, tokens * a.hidden, 0.0f);
    if (w.shared_gate) scale_shared(*w.shared_gate, x, tokens, out);
    mix_experts(w, block, x, tokens, out, last);
  }
  add_half(w, Half::feed_forward, out, tokens, h);
}

void Engine::run_half(Half half, std::size_t block, const Batch& batch, float* h, const Observer* observer, Site last) {
  if (half == Half::attention)
    attend(block, batch, h, observer, last);
  else
    feed_forward(block, batch, h, observer, last);
}

void Engine::run_block(std::size_t block, const Batch& batch, float* h, const Observer* observer) {
  observe(observer, Site::block_in, block, h, batch.tokens, architecture_.hidden);
  attend(block, batch, h, observer);
  feed_forward(block, batch, h, observer);
  observe(observer, Site::block_out, block, h, batch.tokens, architecture_.hidden);
}

void Engine::logits(const float* h, std::size_t rows, float* out, const Observer* observer) {
  const model::Architecture& a = architecture_;
  float* normed = sized(normed_, rows * a.hidden);
  kernel::rms_norm(h, final_norm_.data(), rows, a.hidden, a.norm_epsilon, normed);
  kernel::matmul(normed, a.hidden, rows, head(), out, a.vocab, precision_);
  scale(out, rows * a.vocab, a.scales.logits);
  observe(observer, Site::logits, a.blocks, out, rows, a.vocab);
}

std::vector<float> Engine::forward(std::span<const Token> tokens, std::span<const Sequence> sequences,
                                   const Observer* observer) {
  const Batch batch = make_batch(sequences);
  STRATA_CHECK(batch.tokens == tokens.size(), "{} tokens in sequences of {}", tokens.size(), batch.tokens);
  std::vector<float> h(tokens.size() * architecture_.hidden);
  embed(tokens, h.data());
  for (std::size_t block = 0; block < architecture_.blocks; ++block) run_block(block, batch, h.data(), observer);
  for (const Sequence& s : sequences)
    if (s.cache != nullptr) s.cache->positions += s.tokens;
  return h;
}

}  // namespace strata::engine
