// One forward pass for all families, reading the Architecture: norm, attention, norm, feed-forward, residual sums.
// The order of operations follows transformers' modeling_llama.py and its kin; experts are in experts.cpp.
#include "engine/engine.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "core/threads.h"
#include "kernel/ops.h"

namespace strata::engine {
namespace {

using model::Role;

void observe(const Observer* observer, Site site, std::size_t block, const float* rows, std::size_t tokens,
             std::size_t size) {
  if (observer != nullptr && *observer) (*observer)(site, block, rows, tokens, size);
}

/// out = x - y; false when nothing differs.
bool subtract(const float* x, const float* y, std::size_t count, float* out) {
  constexpr std::size_t stretch = 1 << 14;
  std::atomic<bool> differs = false;
  parallel_for((count + stretch - 1) / stretch, [&](std::size_t s) {
    const std::size_t end = std::min(count, (s + 1) * stretch);
    int any = 0;
    for (std::size_t i = s * stretch; i < end; ++i) {
      out[i] = x[i] - y[i];
      any |= out[i] == 0.0f ? 0 : 1;
    }
    if (any != 0) differs = true;
  });
  return differs;
}

}  // namespace

float* Engine::sized(std::vector<float>& buffer, std::size_t size) {
  if (buffer.size() < size) buffer.resize(size);
  return buffer.data();
}

Site input_site(Role role) {
  switch (role) {
    case Role::q:
    case Role::k:
    case Role::v:
      return Site::attn_in;
    case Role::o:
      return Site::o_in;
    case Role::gate:
    case Role::up:
      return Site::mlp_in;
    case Role::down:
      return Site::down_in;
    case Role::lm_head:
    case Role::embed:
      return Site::block_out;
  }
  STRATA_CHECK(false);
}

bool ends_half(const model::Architecture& architecture, std::size_t block, Site site) {
  return site == Site::o_in || (site == Site::down_in && !architecture.layout[block].mixture);
}

Engine::Engine(const model::Model& model, kernel::Precision precision, Residency residency)
    : model_(model),
      architecture_(model.architecture()),
      precision_(precision),
      residency_(residency),
      embedding_(model.packed_embedding()),
      final_norm_(model.vector("model.norm.weight", architecture_.hidden)),
      blocks_(architecture_.blocks),
      replaced_(architecture_.linears.size()) {
  if (!architecture_.tied) lm_head_ = model.packed(architecture_.linears[architecture_.lm_head()]);
}

Batch Engine::make_batch(std::span<const Sequence> sequences) const {
  Batch batch;
  batch.sequences.assign(sequences.begin(), sequences.end());
  for (const Sequence& s : sequences) batch.tokens += s.tokens;
  const std::size_t half = architecture_.rope.dims / 2;
  batch.cos.resize(batch.tokens * half);
  batch.sin.resize(batch.tokens * half);
  std::size_t row = 0;
  for (const Sequence& s : sequences) {
    const std::size_t first = s.cache != nullptr ? s.cache->positions : 0;
    const std::vector<double> frequencies =
        model::inverse_frequencies(architecture_, first + std::max<std::size_t>(s.tokens, 1) - 1);
    for (std::size_t t = 0; t < s.tokens; ++t, ++row)
      for (std::size_t i = 0; i < half; ++i) {
        const double angle = static_cast<double>(first + t) * frequencies[i];
        batch.cos[row * half + i] = static_cast<float>(std::cos(angle));
        batch.sin[row * half + i] = static_cast<float>(std::sin(angle));
      }
  }
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
}

kernel::Weights Engine::embedding() const {
  const std::size_t index = architecture_.embedding();
  return index != model::kNoBlock && replaced_[index] ? *replaced_[index] : embedding_.view();
}

Engine::BlockWeights& Engine::block_weights(std::size_t block) {
  if (blocks_[block]) return *blocks_[block];
  if (residency_ == Residency::one_block)
    for (std::size_t other = 0; other < blocks_.size(); ++other) release(other);
  BlockWeights w;
  w.first = architecture_.layout[block].first;
  const std::string prefix = fmt::format("model.layers.{}.", block);
  for (const model::Linear& linear : architecture_.block_linears(block)) {
    w.linears.emplace_back();
    if (!linear.routed()) w.linears.back() = model_.packed(linear);
    w.biases.push_back(linear.bias ? model_.vector(linear.module + ".bias", linear.rows) : std::vector<float>());
  }
  w.attn_norm = model_.vector(prefix + "input_layernorm.weight", architecture_.hidden);
  w.mlp_norm = model_.vector(prefix + "post_attention_layernorm.weight", architecture_.hidden);
  if (architecture_.qk_norm != model::QkNorm::none) {
    const bool whole = architecture_.qk_norm == model::QkNorm::whole;
    const model::Architecture& a = architecture_;
    w.q_norm = model_.vector(prefix + "self_attn.q_norm.weight", whole ? a.q_size() : a.head_dim);
    w.k_norm = model_.vector(prefix + "self_attn.k_norm.weight", whole ? a.kv_size() : a.head_dim);
  }
  if (architecture_.layout[block].mixture) {
    const model::Architecture& a = architecture_;
    w.router = model_.matrix(model::router_name(a, block), a.experts.count, a.hidden);
    if (a.experts.correction) w.correction = model_.vector(model::correction_name(a, block), a.experts.count);
    if (a.experts.shared_gate) w.shared_gate = model_.matrix(model::shared_gate_name(a, block), 1, a.hidden);
  }
  blocks_[block] = std::move(w);
  return *blocks_[block];
}

void Engine::release(std::size_t block) {
  if (!blocks_[block]) return;
  blocks_[block].reset();
  for (const model::Linear& linear : architecture_.block_linears(block)) model_.release(linear.module + ".weight");
}

void Engine::multiply(BlockWeights& weights, std::size_t index, const float* x, std::size_t tokens, float* y) {
  const model::Linear& linear = architecture_.linears[index];
  std::optional<model::LinearWeights>& held = weights.linears[index - weights.first];
  if (!held && !replaced_[index]) held = model_.packed(linear);
  // What an expert reads changes with the routing, so its products are never made from changes.
  if (followed_ != nullptr && !replaced_[index] && !linear.routed() &&
      multiply_change(index, held->view(), x, tokens, y))
    return;
  kernel::matmul(x, linear.cols, tokens, replaced_[index] ? *replaced_[index] : held->view(), y, linear.rows,
                 precision_);
  if (linear.bias) kernel::add_bias(y, weights.biases[index - weights.first].data(), tokens, linear.rows);
  if (recording_ == nullptr || linear.routed()) return;
  recording_->outputs[index].assign(y, y + tokens * linear.rows);
  const bool shared = linear.role == Role::k || linear.role == Role::v || linear.role == Role::up;
  if (!shared) recording_->inputs[index].assign(x, x + tokens * linear.cols);
}

void Engine::activate(float* gate, const float* up, std::size_t count) const {
  if (architecture_.activation == model::Activation::silu)
    kernel::silu_multiply(gate, up, count);
  else
    kernel::gelu_multiply(gate, up, count);
}

void Engine::forget_expert(BlockWeights& weights, std::size_t block, std::size_t expert) const {
  for (const Role role : {Role::gate, Role::up, Role::down})
    weights.linears[architecture_.index(block, role, expert) - weights.first].reset();
}

void Engine::attend(std::size_t block, const Batch& batch, float* h, const Observer* observer, Site last) {
  BlockWeights& w = block_weights(block);
  const model::Architecture& a = architecture_;
  const std::size_t tokens = batch.tokens, half = a.rope.dims / 2;
  float* normed = sized(normed_, tokens * a.hidden);
  float* q = sized(q_, tokens * a.q_size());
  float* k = sized(k_, tokens * a.kv_size());
  float* v = sized(v_, tokens * a.kv_size());
  float* attended = sized(attended_, tokens * a.q_size());

  kernel::rms_norm(h, w.attn_norm.data(), tokens, a.hidden, a.norm_epsilon, normed);
  observe(observer, Site::attn_in, block, normed, tokens, a.hidden);
  if (last == Site::attn_in) return;
  multiply(w, a.index(block, Role::q), normed, tokens, q);
  multiply(w, a.index(block, Role::k), normed, tokens, k);
  multiply(w, a.index(block, Role::v), normed, tokens, v);
  if (a.qk_norm == model::QkNorm::per_head) {
    kernel::rms_norm(q, w.q_norm.data(), tokens * a.heads, a.head_dim, a.norm_epsilon, q);
    kernel::rms_norm(k, w.k_norm.data(), tokens * a.kv_heads, a.head_dim, a.norm_epsilon, k);
  } else if (a.qk_norm == model::QkNorm::whole) {
    kernel::rms_norm(q, w.q_norm.data(), tokens, a.q_size(), a.norm_epsilon, q);
    kernel::rms_norm(k, w.k_norm.data(), tokens, a.kv_size(), a.norm_epsilon, k);
  }
  kernel::rope(q, a.q_size(), tokens, a.heads, a.head_dim, batch.cos.data(), batch.sin.data(), half);
  kernel::rope(k, a.kv_size(), tokens, a.kv_heads, a.head_dim, batch.cos.data(), batch.sin.data(), half);

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
    call.window = a.window[block];
    call.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(a.head_dim)));
    calls.push_back(call);
    row += s.tokens;
  }
  kernel::attention(calls);
  observe(observer, Site::o_in, block, attended, tokens, a.q_size());
  if (last != Site::o_in) add_output(block, Role::o, attended, tokens, h);
}

void Engine::add_output(std::size_t block, Role role, const float* rows, std::size_t tokens, float* h) {
  float* projected = sized(projected_, tokens * architecture_.hidden);
  multiply(block_weights(block), architecture_.index(block, role), rows, tokens, projected);
  kernel::add(h, projected, tokens * architecture_.hidden);
}

bool Engine::run_dense(BlockWeights& w, std::size_t block, std::size_t expert, const float* x, std::size_t tokens,
                       float* y, const Observer* observer, Site last) {
  const model::Architecture& a = architecture_;
  const std::size_t size = expert == model::kSharedExpert ? a.experts.shared_intermediate : a.intermediate;
  float* gate = sized(gate_, tokens * size);
  float* up = sized(up_, tokens * size);
  multiply(w, a.index(block, Role::gate, expert), x, tokens, gate);
  multiply(w, a.index(block, Role::up, expert), x, tokens, up);
  activate(gate, up, tokens * size);
  observe(observer, Site::down_in, block, gate, tokens, size);
  if (last == Site::down_in) return false;
  multiply(w, a.index(block, Role::down, expert), gate, tokens, y);
  return true;
}

void Engine::feed_forward(std::size_t block, const Batch& batch, float* h, const Observer* observer, Site last) {
  BlockWeights& w = block_weights(block);
  const model::Architecture& a = architecture_;
  const std::size_t tokens = batch.tokens;
  const bool mixture = a.layout[block].mixture, shared = mixture && a.experts.shared_intermediate != 0;
  float* normed = sized(normed_, tokens * a.hidden);
  float* projected = sized(projected_, tokens * a.hidden);
  kernel::rms_norm(h, w.mlp_norm.data(), tokens, a.hidden, a.norm_epsilon, normed);
  observe(observer, Site::mlp_in, block, normed, tokens, a.hidden);
  if (mixture && watch_ != nullptr && last != Site::block_out)
    return mix_experts(w, block, normed, tokens, projected, last);
  if (last == Site::mlp_in) return;
  if (!mixture || shared) {
    const std::size_t expert = shared ? model::kSharedExpert : model::kNoExpert;
    if (!run_dense(w, block, expert, normed, tokens, projected, observer, last)) return;
  }
  if (mixture) {
    if (last != Site::block_out) return;
    if (!shared) std::fill_n(projected, tokens * a.hidden, 0.0f);
    if (w.shared_gate) scale_shared(*w.shared_gate, normed, tokens, projected);
    mix_experts(w, block, normed, tokens, projected, last);
  }
  kernel::add(h, projected, tokens * a.hidden);
}

void Engine::run_block(std::size_t block, const Batch& batch, float* h, const Observer* observer) {
  observe(observer, Site::block_in, block, h, batch.tokens, architecture_.hidden);
  attend(block, batch, h, observer);
  feed_forward(block, batch, h, observer);
  observe(observer, Site::block_out, block, h, batch.tokens, architecture_.hidden);
}

void Engine::record(Recording* recording) {
  recording_ = recording;
  if (recording == nullptr) return;
  recording->inputs.assign(architecture_.linears.size(), {});
  recording->outputs.assign(architecture_.linears.size(), {});
}

bool Engine::multiply_change(std::size_t index, const kernel::Weights& weights, const float* x, std::size_t tokens,
                             float* y) {
  // Whatever rows were recorded, y + W (x' - x) = W x'; those of the same tokens make the difference small.
  const std::vector<float>& before = followed_->outputs[index];
  const model::Linear& linear = architecture_.linears[index];
  if (before.size() != tokens * linear.rows) return false;
  std::size_t reads = index;
  while (followed_->inputs[reads].empty()) --reads;
  if (subtract(x, followed_->inputs[reads].data(), tokens * linear.cols, sized(change_, tokens * linear.cols))) {
    kernel::matmul(change_.data(), linear.cols, tokens, weights, y, linear.rows, kernel::Precision::bf16);
    kernel::add(y, before.data(), before.size());
  } else {
    std::copy(before.begin(), before.end(), y);
  }
  return true;
}

void Engine::logits_change(const float* h, const float* h0, std::size_t rows, float* out) {
  const model::Architecture& a = architecture_;
  STRATA_CHECK(!head_replaced());
  float* normed = sized(normed_, 2 * rows * a.hidden);
  float* original = normed + rows * a.hidden;
  kernel::rms_norm(h, final_norm_.data(), rows, a.hidden, a.norm_epsilon, normed);
  kernel::rms_norm(h0, final_norm_.data(), rows, a.hidden, a.norm_epsilon, original);
  subtract(normed, original, rows * a.hidden, normed);
  kernel::matmul(normed, a.hidden, rows, lm_head_ ? lm_head_->view() : embedding(), out, a.vocab,
                 kernel::Precision::bf16);
}

void Engine::logits(const float* h, std::size_t rows, float* out, const Observer* observer) {
  const model::Architecture& a = architecture_;
  float* normed = sized(normed_, rows * a.hidden);
  kernel::rms_norm(h, final_norm_.data(), rows, a.hidden, a.norm_epsilon, normed);
  kernel::Weights head = lm_head_ ? lm_head_->view() : embedding();
  if (lm_head_ && replaced_[a.lm_head()]) head = *replaced_[a.lm_head()];
  kernel::matmul(normed, a.hidden, rows, head, out, a.vocab, precision_);
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
