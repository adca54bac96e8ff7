// Weights while they are held, and products with them: the model's weights, others in their place (Replacing), with
// rounded inputs (RoundingInputs), and what changed since a recorded pass (Following).
#include <algorithm>
#include <atomic>
#include <cmath>

#include "core/threads.h"
#include "engine/activation.h"
#include "engine/modes.h"
#include "engine/norms.h"
#include "engine/scale.h"
#include "kernel/byte_products.h"
#include "kernel/ops.h"
#include "kernel/round_rows.h"

namespace strata::engine {
namespace {

using model::Role;

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

kernel::Weights Engine::embedding() const {
  const std::size_t index = architecture_.embedding();
  return index != model::kNoLinear && replaced_[index] ? replaced_[index]->weights : embedding_.table.view();
}

kernel::Weights Engine::head() const {
  if (!lm_head_) return embedding();
  const std::optional<Replacement>& other = replaced_[architecture_.lm_head()];
  return other ? other->weights : lm_head_->view();
}

bool Engine::head_replaced() const {
  const std::size_t head = architecture_.tied ? architecture_.embedding() : architecture_.lm_head();
  return head != model::kNoLinear && replaced_[head].has_value();
}

BlockWeights& Engine::block_weights(std::size_t block) {
  if (blocks_[block]) return *blocks_[block];
  if (residency_ == Residency::one_block)
    for (std::size_t other = 0; other < blocks_.size(); ++other) release(other);
  BlockWeights w;
  w.first = architecture_.layout[block].first;
  for (const model::Linear& linear : architecture_.block_linears(block)) {
    w.linears.emplace_back();
    if (!linear.routed()) w.linears.back() = model_.packed(linear);
    w.biases.push_back(linear.bias ? model_.vector(linear.module + ".bias", linear.rows) : std::vector<float>());
  }
  w.norms = model_.norms(model::kBlockNorms, block);
  if (architecture_.block_scale) w.scale = model_.vector(model::block_scale_name(architecture_, block), 1).front();
  w.xielu = xielu_of(model_, block);
  if (architecture_.sinks)
    w.sinks =
        model_.vector(model::sinks_name(architecture_, block), architecture_.heads_of(architecture_.attention[block]));
  if (architecture_.layout[block].mixture) w.router = router_weights(model_, block);
  blocks_[block] = std::move(w);
  return *blocks_[block];
}

void Engine::release(std::size_t block) {
  if (!blocks_[block]) return;
  blocks_[block].reset();
  for (const model::Linear& linear : architecture_.block_linears(block)) model_.release(linear.module + ".weight");
  if (block_embedding_) model_.release(model::block_table_name(architecture_));  // every block reads other columns
}

kernel::Weights Engine::weights_of(BlockWeights& weights, std::size_t index) {
  if (replaced_[index]) return replaced_[index]->weights;
  std::optional<model::LinearWeights>& held = weights.linears[index - weights.first];
  if (!held) held = model_.packed(architecture_.linears[index]);
  return held->view();
}

void Engine::product(const float* x, std::size_t tokens, const kernel::Weights& w, float* y) const {
  if (in_bytes_ && tokens == 1 && kernel::multiply_in_bytes(x, w, y)) return;
  kernel::matmul(x, w.cols(), tokens, w, y, w.rows(), precision_);
}

void Engine::multiply(BlockWeights& weights, std::size_t index, const float* x, std::size_t tokens, float* y) {
  const model::Linear& linear = architecture_.linears[index];
  const kernel::Weights matrix = weights_of(weights, index);
  // What an expert reads changes with the routing, so its products are never made from changes.
  if (followed_ != nullptr && !replaced_[index] && !linear.routed() && multiply_change(index, matrix, x, tokens, y))
    return;
  product(as_read(index, x, tokens), tokens, matrix, y);
  if (linear.bias) kernel::add_bias(y, weights.biases[index - weights.first].data(), tokens, linear.rows);
  if (record_ == nullptr || linear.routed()) return;
  record_->outputs[index].assign(y, y + tokens * linear.rows);
  if (!reads_as_before(architecture_, index)) record_->inputs[index].assign(x, x + tokens * linear.cols);
}

codec::ActivationRounding Engine::reads(std::size_t index) const {
  if (replaced_[index] && replaced_[index]->reads.rounds()) return replaced_[index]->reads;
  return rounding_ == nullptr ? codec::ActivationRounding() : (*rounding_)[index];
}

const float* Engine::as_read(std::size_t index, const float* x, std::size_t tokens) {
  const codec::ActivationRounding rounding = reads(index);
  if (!rounding.rounds()) return x;
  const bool same_rows =
      rounded_for_ + 1 == index && reads_as_before(architecture_, index) && reads(rounded_for_) == rounding;
  rounded_for_ = index;
  if (same_rows) return rounded_.data();
  const std::size_t cols = architecture_.linears[index].cols;
  float* const rows = sized(rounded_, tokens * cols);
  kernel::round_rows(rounding, x, tokens, cols, rows);
  return rows;
}

const float* Engine::multiply_fused(BlockWeights& weights, std::size_t index, const float* x, std::size_t tokens) {
  float* y = sized(fused_, tokens * architecture_.linears[index].rows);
  multiply(weights, index, x, tokens, y);
  return y;
}

bool Engine::multiply_change(std::size_t index, const kernel::Weights& weights, const float* x, std::size_t tokens,
                             float* y) {
  // y + W (x' - x) = W x' whatever rows were recorded; rows of the same tokens make the difference small.
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
  norm_rows(a, h, final_norm_.data(), rows, normed);
  norm_rows(a, h0, final_norm_.data(), rows, original);
  subtract(normed, original, rows * a.hidden, normed);
  kernel::matmul(normed, a.hidden, rows, head(), out, a.vocab, kernel::Precision::bf16);
  scale(out, rows * a.vocab, a.scales.logits);
  if (a.logit_softcap == 0.0f) return;
  // A cap bends the change by where the logits stand.
  std::vector<float> before(rows * a.vocab);
  kernel::matmul(original, a.hidden, rows, head(), before.data(), a.vocab, kernel::Precision::bf16);
  if (!head_bias_.empty()) kernel::add_bias(before.data(), head_bias_.data(), rows, a.vocab);
  scale(before.data(), before.size(), a.scales.logits);
  kernel::add(out, before.data(), before.size());
  cap(out, before.size(), a.logit_softcap);
  cap(before.data(), before.size(), a.logit_softcap);
  subtract(out, before.data(), before.size(), out);
}

}  // namespace strata::engine
