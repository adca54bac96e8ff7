// Steps over mini-batches of sequences: forward through all blocks with their inputs kept, the loss at the logits, and
// backward block by block, each run again first. Weights are factor times start; Adam (arXiv 1412.6980) on the factors.
#include "pipeline/tune_norms.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "core/error.h"
#include "core/progress.h"
#include "core/random.h"
#include "core/threads.h"
#include "engine/gradient.h"
#include "kernel/gradients.h"
#include "kernel/ops.h"
#include "kernel/softmax.h"
#include "pipeline/held_out.h"
#include "pipeline/original_stream.h"

namespace strata::pipeline {
namespace {

constexpr std::size_t kEvaluations = 4;  // of the held-out loss while learning
constexpr std::size_t kWarmSteps = 4;
constexpr double kFirstDecay = 0.9, kSecondDecay = 0.95;  // a step, of the gradient's running mean and mean square
constexpr std::size_t kOriginalRows = 128;                // of the original's logits held at a time
constexpr std::size_t kHeadRows = 4096;                   // of the head that are turned at a time
constexpr kernel::Precision kPrecision = kernel::Precision::bf16;

/// Rows [first, first + count) of a matrix, dense or stored, as f32 in `out`.
void widen(const kernel::Weights& weights, std::size_t first, std::size_t count, std::vector<float>& out) {
  const std::size_t cols = weights.cols();
  out.resize(count * cols);
  parallel_for(count, [&](std::size_t r) { kernel::read_row(weights, first + r, out.data() + r * cols); });
}

/// A norm's weights while they are learned.
class LearnedNorm {
 public:
  explicit LearnedNorm(std::vector<float> start)
      : start_(std::move(start)), weights_(start_), kept_(start_), state_(start_.size()) {}

  const std::vector<float>& weights() const { return weights_; }
  const std::vector<float>& kept() const { return kept_; }
  void keep() { kept_ = weights_; }

  /// gradient: of the loss by the weights. step: from 1.
  void step(const std::vector<float>& gradient, double rate, std::size_t step) {
    const double first_share = 1.0 - std::pow(kFirstDecay, static_cast<double>(step)),
                 second_share = 1.0 - std::pow(kSecondDecay, static_cast<double>(step));
    for (std::size_t i = 0; i < start_.size(); ++i) {
      State& s = state_[i];
      const double slope = static_cast<double>(gradient[i]) * static_cast<double>(start_[i]);
      s.mean = kFirstDecay * s.mean + (1.0 - kFirstDecay) * slope;
      s.square = kSecondDecay * s.square + (1.0 - kSecondDecay) * slope * slope;
      const double rms = std::sqrt(s.square / second_share);
      if (rms > 0.0) s.factor -= rate * s.mean / (first_share * rms);
      weights_[i] = static_cast<float>(s.factor * static_cast<double>(start_[i]));
    }
  }

 private:
  struct State {
    double factor = 1.0, mean = 0.0, square = 0.0;
  };
  std::vector<float> start_, weights_, kept_;
  std::vector<State> state_;
};

class NormTuner {
 public:
  NormTuner(const model::Model& original, const model::Model& quantized, const importance::CalibrationSet& set,
            const NormOptions& options)
      : quantized_(quantized),
        a_(quantized.architecture()),
        set_(set),
        options_(options),
        original_(original, kPrecision, engine::Residency::one_block),
        engine_(quantized, kPrecision, engine::Residency::one_block),
        stream_(original, set, kPrecision, {}),
        head_(a_.tied ? quantized.packed_embedding() : quantized.packed(a_.linears[a_.lm_head()])),
        final_norm_(quantized.vector("model.norm.weight", a_.hidden)),
        sequences_(hold_out(set.sequences.size())) {
    for (std::size_t b = 0; b < a_.blocks; ++b) {
      const engine::BlockGradient::Norms norms = engine::BlockGradient(engine_, b, kPrecision).norms();
      blocks_.push_back({LearnedNorm(norms.attn), LearnedNorm(norms.mlp)});
    }
  }

  TunedNorms run() {
    const std::size_t together = std::max<std::size_t>(1, options_.batch_tokens / set_.source.seq_len);
    const std::size_t steps = options_.rounds * ((sequences_.training.size() + together - 1) / together);
    const std::size_t each = std::max<std::size_t>(1, steps / kEvaluations);
    Progress progress("tuning norms", steps + a_.blocks);
    for (std::size_t b = 0; b < a_.blocks; ++b) {
      stream_.advance(b, true);
      stream_.advance(b, false);
      progress.advance();
    }
    TunedNorms tuned;
    tuned.steps = steps;
    tuned.start = tuned.best = held_loss(together, progress);
    Random random(set_.source.hash);
    for (std::size_t round = 0, done = 0; round < options_.rounds; ++round) {
      random.shuffle(sequences_.training);
      for (std::size_t first = 0; first < sequences_.training.size(); first += together) {
        const double warm = std::min(1.0, static_cast<double>(done + 1) / kWarmSteps);
        step(std::span(sequences_.training).subspan(first, std::min(together, sequences_.training.size() - first)),
             options_.rate * warm * static_cast<double>(steps - done) / static_cast<double>(steps), done + 1, progress);
        progress.advance();
        if (++done % each != 0 && done != steps) continue;
        const double now = held_loss(together, progress);
        progress.note(fmt::format("held-out KL {:.4f}, {:.4f} before", now, tuned.start));
        if (now >= tuned.best) continue;
        tuned.best = now;
        for_each_norm([](const std::string&, LearnedNorm& norm) { norm.keep(); });
      }
    }
    for_each_norm([&](const std::string& name, LearnedNorm& norm) { tuned.weights[name] = norm.kept(); });
    return tuned;
  }

 private:
  struct BlockNorms {
    LearnedNorm attn, mlp;
  };

  void for_each_norm(const std::function<void(const std::string&, LearnedNorm&)>& body) {
    for (std::size_t b = 0; b < a_.blocks; ++b) {
      body(fmt::format("model.layers.{}.input_layernorm.weight", b), blocks_[b].attn);
      body(fmt::format("model.layers.{}.post_attention_layernorm.weight", b), blocks_[b].mlp);
    }
    body("model.norm.weight", final_norm_);
  }

  void gather(std::span<const std::size_t> sequences) {
    batch_ = engine_.make_batch(std::vector<engine::Sequence>(sequences.size(), engine::Sequence{set_.source.seq_len}));
    ids_.clear();
    for (const std::size_t s : sequences) ids_.insert(ids_.end(), set_.sequences[s].begin(), set_.sequences[s].end());
    targets_.resize(ids_.size() * a_.hidden);
    engine::HiddenStates& targets = stream_.states();
    for (std::size_t i = 0; i < sequences.size(); ++i)
      std::copy_n(targets.borrow(sequences[i], 1), targets.floats(), targets_.data() + i * targets.floats());
  }

  /// The block's linears as f32, valid until the next call.
  const engine::BlockGradient::Linears& linears(std::size_t block) {
    const auto span = a_.block_linears(block);
    weights_.resize(span.size());
    views_.clear();
    for (std::size_t i = 0; i < span.size(); ++i) {
      const model::LinearWeights held = quantized_.packed(span[i]);
      widen(held.view(), 0, span[i].rows, weights_[i]);
      views_.push_back(MatrixView::dense(weights_[i].data(), span[i].rows, span[i].cols, DType::f32));
    }
    return views_;
  }

  engine::BlockGradient block(std::size_t b) const {
    engine::BlockGradient gradient(engine_, b, kPrecision);
    gradient.set_norms({blocks_[b].attn.weights(), blocks_[b].mlp.weights()});
    return gradient;
  }

  /// The last block's output of the gathered sequences; the inputs of all blocks in `inputs`, unless it is null.
  std::vector<float> forward(std::vector<std::vector<float>>* inputs, Progress& progress) {
    std::vector<float> h(ids_.size() * a_.hidden);
    engine_.embed(ids_, h.data());
    for (std::size_t b = 0; b < a_.blocks; ++b) {
      engine::BlockGradient gradient = block(b);
      const float* const out = gradient.forward(batch_, h.data(), linears(b));
      if (inputs != nullptr) inputs->push_back(h);
      std::copy_n(out, h.size(), h.data());
      progress.advance(0);
    }
    return h;
  }

  /// Sum over the gathered tokens of the divergence, h being the last block's output; logits_ becomes its gradient by
  /// the logits, and normed_ what the head reads.
  double compare(const std::vector<float>& h) {
    const std::size_t tokens = ids_.size(), vocab = a_.vocab;
    normed_.resize(h.size());
    kernel::rms_norm(h.data(), final_norm_.weights().data(), tokens, a_.hidden, a_.norm_epsilon, normed_.data());
    logits_.resize(tokens * vocab);
    kernel::matmul(normed_.data(), a_.hidden, tokens, head_.view(), logits_.data(), vocab, kPrecision);
    std::vector<double> losses(tokens);
    original_logits_.resize(std::min(tokens, kOriginalRows) * vocab);
    for (std::size_t first = 0; first < tokens; first += kOriginalRows) {
      const std::size_t count = std::min(kOriginalRows, tokens - first);
      original_.logits(targets_.data() + first * a_.hidden, count, original_logits_.data());
      parallel_for(count, [&](std::size_t i) {
        float *const p = original_logits_.data() + i * vocab, *const q = logits_.data() + (first + i) * vocab;
        const kernel::SoftmaxRow p_row = kernel::softmax_row(p, vocab), q_row = kernel::softmax_row(q, vocab);
        losses[first + i] = kernel::kl_divergence(p, p_row, q, q_row, vocab);
        kernel::kl_divergence_gradient(p, p_row, q, q_row, vocab);
      });
    }
    const double sum = std::accumulate(losses.begin(), losses.end(), 0.0);
    if (!std::isfinite(sum)) fail("{}: its logits are not finite", quantized_.path().string());
    return sum;
  }

  /// Gradient by what the head reads, (tokens, hidden).
  std::vector<float> head_backward() {
    const std::size_t tokens = ids_.size(), hidden = a_.hidden;
    std::vector<float> sum(tokens * hidden, 0.0f), part(sum.size()), rows, turned;
    for (std::size_t first = 0; first < a_.vocab; first += kHeadRows) {
      const std::size_t count = std::min(kHeadRows, a_.vocab - first);
      widen(head_.view(), first, count, rows);
      turned.resize(rows.size());
      kernel::transpose(rows.data(), hidden, count, hidden, turned.data());
      kernel::matmul(logits_.data() + first, a_.vocab, tokens,
                     {MatrixView::dense(turned.data(), hidden, count, DType::f32), nullptr}, part.data(), hidden,
                     kPrecision);
      kernel::add(sum.data(), part.data(), sum.size());
    }
    return sum;
  }

  double held_loss(std::size_t together, Progress& progress) {
    double sum = 0.0;
    for (std::size_t first = 0; first < sequences_.held.size(); first += together) {
      gather(std::span(sequences_.held).subspan(first, std::min(together, sequences_.held.size() - first)));
      sum += compare(forward(nullptr, progress));
    }
    return sum / static_cast<double>(sequences_.held.size() * set_.source.seq_len);
  }

  void step(std::span<const std::size_t> sequences, double rate, std::size_t number, Progress& progress) {
    gather(sequences);
    std::vector<std::vector<float>> inputs;
    const std::vector<float> h = forward(&inputs, progress);
    compare(h);
    std::vector<float> dh = head_backward(), dfinal(a_.hidden, 0.0f);
    kernel::rms_norm_weight_gradient(h.data(), dh.data(), ids_.size(), a_.hidden, a_.norm_epsilon, dfinal.data());
    kernel::rms_norm_gradient(h.data(), final_norm_.weights().data(), dh.data(), ids_.size(), a_.hidden,
                              a_.norm_epsilon, dh.data());
    std::vector<std::vector<float>> none;
    for (std::size_t b = a_.blocks; b-- > 0;) {
      engine::BlockGradient gradient = block(b);
      const auto& weights = linears(b);
      gradient.forward(batch_, inputs[b].data(), weights);
      engine::BlockGradient::Norms slopes;
      none.resize(weights.size());
      gradient.backward(batch_, dh.data(), weights, std::vector<bool>(weights.size(), false), none, dh.data(), &slopes);
      blocks_[b].attn.step(slopes.attn, rate, number);
      blocks_[b].mlp.step(slopes.mlp, rate, number);
      progress.advance(0);
    }
    final_norm_.step(dfinal, rate, number);
  }

  const model::Model& quantized_;
  const model::Architecture& a_;
  const importance::CalibrationSet& set_;
  const NormOptions& options_;
  engine::Engine original_, engine_;
  OriginalStream stream_;
  model::LinearWeights head_;
  std::vector<BlockNorms> blocks_;
  LearnedNorm final_norm_;
  HeldOut sequences_;
  engine::Batch batch_;
  std::vector<engine::Token> ids_;
  std::vector<float> targets_, normed_, logits_, original_logits_;
  std::vector<std::vector<float>> weights_;
  engine::BlockGradient::Linears views_;
};

}  // namespace

TunedNorms tune_norms(const model::Model& original, const model::Model& quantized,
                      const importance::CalibrationSet& set, const NormOptions& options) {
  const model::Architecture &a = original.architecture(), &b = quantized.architecture();
  if (a.blocks != b.blocks || a.hidden != b.hidden || a.vocab != b.vocab || a.intermediate != b.intermediate)
    fail("{}: was not made from {}: {} blocks of {}, vocabulary {}, against {} of {}, {}", quantized.path().string(),
         original.path().string(), b.blocks, b.hidden, b.vocab, a.blocks, a.hidden, a.vocab);
  for (std::size_t block = 0; block < b.blocks; ++block)
    if (const std::string why = engine::why_no_gradient(b, block); !why.empty())
      fail("{}: its norms cannot be learned: block {}: {}", quantized.path().string(), block, why);
  if (set.sequences.size() < 2) fail_usage("norms are learned on two sequences or more; give more --samples or text");
  return NormTuner(original, quantized, set, options).run();
}

}  // namespace strata::pipeline
