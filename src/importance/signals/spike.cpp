// spike: the largest magnitude among a linear's inputs in a sequence, mean over sequences; spike_out: among its
// outputs. Massive activations (arXiv 2402.17762) make a few weights decide a linear's error. 0 for experts, whose
// inputs are not looked at.
#include <algorithm>
#include <cmath>

#include "core/threads.h"
#include "importance/signal.h"
#include "kernel/ops.h"

namespace strata::importance {
namespace {

using engine::Site;

float absmax(const float* x, std::size_t count) {
  float largest = 0.0f;
  for (std::size_t i = 0; i < count; ++i) largest = std::max(largest, std::fabs(x[i]));
  return largest;
}

class Spike : public SiteSignal {
 public:
  Spike(const model::Model& model, std::size_t sequences, bool outputs)
      : model_(model),
        head_(model),
        outputs_(outputs),
        samples_(model.architecture().linears.size(), std::vector<double>(sequences)) {}

  void on_rows(const SiteRows& rows) override {
    const model::Architecture& a = model_.architecture();
    const auto& linears = a.linears;
    if (const std::optional<SiteRows> head = head_.of(rows)) note(a.tied ? a.embedding() : a.lm_head(), *head);
    for (std::size_t l = 0; l < linears.size(); ++l)
      if (linears[l].block == rows.block && engine::input_site(linears[l].role) == rows.site && !linears[l].routed())
        note(l, rows);
  }
  Samples& samples() override { return samples_; }

 private:
  /// rows: the input of linear l.
  void note(std::size_t l, const SiteRows& rows) {
    const model::Linear& linear = model_.architecture().linears[l];
    if (!outputs_) {
      parallel_for(rows.sequences,
                   [&](std::size_t s) { set(l, rows, s, absmax(rows.of_sequence(s), rows.tokens * rows.size)); });
      return;
    }
    const model::LinearWeights weights = model_.weights(linear);
    const std::vector<float> bias =
        linear.bias ? model_.vector(linear.module + ".bias", linear.rows) : std::vector<float>();
    // One sequence at a time, since the outputs of lm_head are as wide as the vocabulary.
    out_.resize(rows.tokens * linear.rows);
    for (std::size_t s = 0; s < rows.sequences; ++s) {
      kernel::matmul(rows.of_sequence(s), rows.size, rows.tokens, weights.view(), out_.data(), linear.rows,
                     kernel::Precision::f32);
      if (linear.bias) kernel::add_bias(out_.data(), bias.data(), rows.tokens, linear.rows);
      set(l, rows, s, absmax(out_.data(), out_.size()));
    }
  }
  void set(std::size_t l, const SiteRows& rows, std::size_t s, float value) {
    samples_[l][rows.first_sequence + s] = static_cast<double>(value);
  }

  const model::Model& model_;
  HeadInput head_;
  bool outputs_;
  Samples samples_;
  std::vector<float> out_;
};

}  // namespace

std::unique_ptr<SiteSignal> observe_spike(const model::Model& model, std::size_t sequences) {
  return std::make_unique<Spike>(model, sequences, false);
}

std::unique_ptr<SiteSignal> observe_spike_out(const model::Model& model, std::size_t sequences) {
  return std::make_unique<Spike>(model, sequences, true);
}

}  // namespace strata::importance
