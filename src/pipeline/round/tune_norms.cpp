// A step takes a mini-batch of sequences and the gradients of engine/model_gradient.h. A weight is a factor times its
// value at the start, and Adam (arXiv 1412.6980) learns the factors.
#include "pipeline/round/tune_norms.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>

#include "core/error.h"
#include "core/progress.h"
#include "core/random.h"
#include "core/threads.h"
#include "engine/model_gradient.h"
#include "kernel/softmax.h"
#include "model/damage.h"
#include "pipeline/round/held_out.h"
#include "pipeline/round/original_stream.h"

namespace strata::pipeline {
namespace {

constexpr std::size_t kNormEvaluations = 4;  // how often the held-out loss is measured while learning
constexpr std::size_t kWarmSteps = 4;
constexpr double kFirstDecay = 0.9, kSecondDecay = 0.95;  // of the running mean and mean square, per step
constexpr std::size_t kOriginalRows = 128;                // rows of the original's logits held at a time
constexpr kernel::Precision kNormPrecision = kernel::Precision::bf16;

/// A norm while it is learned: its weights are changed in place.
class LearnedNorm {
 public:
  explicit LearnedNorm(std::vector<float>& weights)
      : weights_(weights), start_(weights), kept_(weights), state_(weights.size()) {}

  const std::vector<float>& kept() const { return kept_; }
  void keep() { kept_ = weights_; }

  /// Moves the weights against the loss's gradient by them. `step` counts from 1.
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
  std::vector<float>& weights_;
  std::vector<float> start_, kept_;
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
        original_(original, kNormPrecision, engine::Residency::one_block),
        engine_(quantized, kNormPrecision, engine::Residency::one_block),
        stream_(original, set, kNormPrecision, {}),
        gradient_(engine_, kNormPrecision),
        final_norm_(gradient_.final_norm()),
        sequences_(hold_out(set.sequences.size())) {
    blocks_.resize(a_.blocks);
    for (std::size_t b = 0; b < a_.blocks; ++b)
      for (auto& [norm, weights] : gradient_.norms()[b]) blocks_[b].emplace(norm, weights);
  }

  TunedNorms run() {
    const std::size_t together = std::max<std::size_t>(1, options_.batch_tokens / set_.source.seq_len);
    const std::size_t steps = options_.rounds * ((sequences_.training.size() + together - 1) / together);
    const std::size_t each = std::max<std::size_t>(1, steps / kNormEvaluations);
    Progress progress("tuning norms", steps + a_.blocks);
    for (std::size_t b = 0; b < a_.blocks; ++b) {
      stream_.advance(b, engine::Half::attention);
      stream_.advance(b, engine::Half::feed_forward);
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
        for_each_norm([](model::Norm, std::size_t, LearnedNorm& learned) { learned.keep(); });
      }
    }
    for_each_norm(
        [&](model::Norm norm, std::size_t b, LearnedNorm& learned) { store(norm, b, learned.kept(), tuned); });
    return tuned;
  }

 private:
  /// Calls `body` with every norm and its block.
  void for_each_norm(const std::function<void(model::Norm, std::size_t, LearnedNorm&)>& body) {
    for (std::size_t b = 0; b < a_.blocks; ++b)
      for (auto& [norm, learned] : blocks_[b]) body(norm, b, learned);
    body(model::Norm::last, model::kNoBlock, final_norm_);
  }

  /// Puts down what a norm's tensors must hold for the forward pass to use `weights`, behind which biases may stand.
  void store(model::Norm norm, std::size_t block, const std::vector<float>& weights, TunedNorms& tuned) const {
    const auto size = static_cast<std::ptrdiff_t>(a_.norm_size(norm, block));
    std::vector<float>& values = tuned.weights[model::norm_name(a_, norm, block)];
    values.assign(weights.begin(), weights.begin() + size);
    if (a_.norm_offset != 0.0f)
      for (float& value : values) value -= a_.norm_offset;
    if (a_.has_bias(norm))
      tuned.weights[model::norm_bias_name(a_, norm, block)].assign(weights.begin() + size, weights.end());
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

  /// Returns the logits of the gathered sequences.
  std::vector<float>& forward(Progress& progress) {
    return gradient_.forward(batch_, ids_, [&] { progress.advance(0); });
  }

  /// Returns the sum of the divergence over the gathered tokens, and turns the logits into its gradient by them.
  double compare(std::vector<float>& logits) {
    const std::size_t tokens = ids_.size(), vocab = a_.vocab;
    std::vector<double> losses(tokens);
    original_logits_.resize(std::min(tokens, kOriginalRows) * vocab);
    for (std::size_t first = 0; first < tokens; first += kOriginalRows) {
      const std::size_t count = std::min(kOriginalRows, tokens - first);
      original_.logits(targets_.data() + first * a_.hidden, count, original_logits_.data());
      parallel_for(count, [&](std::size_t i) {
        float *const p = original_logits_.data() + i * vocab, *const q = logits.data() + (first + i) * vocab;
        const kernel::SoftmaxRow p_row = kernel::softmax_row(p, vocab), q_row = kernel::softmax_row(q, vocab);
        losses[first + i] = kernel::kl_divergence(p, p_row, q, q_row, vocab);
        kernel::kl_divergence_gradient(p, p_row, q, q_row, vocab);
      });
    }
    const double sum = std::accumulate(losses.begin(), losses.end(), 0.0);
    if (!std::isfinite(sum))
      model::fail_not_finite(quantized_, "its logits are not finite", "its weights are beyond the range of f32");
    return sum;
  }

  double held_loss(std::size_t together, Progress& progress) {
    double sum = 0.0;
    for (std::size_t first = 0; first < sequences_.held.size(); first += together) {
      gather(std::span(sequences_.held).subspan(first, std::min(together, sequences_.held.size() - first)));
      sum += compare(forward(progress));
    }
    return sum / static_cast<double>(sequences_.held.size() * set_.source.seq_len);
  }

  void step(std::span<const std::size_t> sequences, double rate, std::size_t number, Progress& progress) {
    gather(sequences);
    compare(forward(progress));
    gradient_.backward(batch_,
                       {.final_norm = [&](const std::vector<float>& slope) { final_norm_.step(slope, rate, number); },
                        .norms =
                            [&](std::size_t b, const engine::BlockGradient::Norms& slopes) {
                              for (auto& [norm, learned] : blocks_[b]) learned.step(slopes.at(norm), rate, number);
                            }},
                       [&] { progress.advance(0); });
  }

  const model::Model& quantized_;
  const model::Architecture& a_;
  const importance::CalibrationSet& set_;
  const NormOptions& options_;
  engine::Engine original_, engine_;
  OriginalStream stream_;
  engine::ModelGradient gradient_;
  std::vector<std::map<model::Norm, LearnedNorm>> blocks_;
  LearnedNorm final_norm_;
  HeldOut sequences_;
  engine::Batch batch_;
  std::vector<engine::Token> ids_;
  std::vector<float> targets_, original_logits_;
};

}  // namespace

void visit(NormOptions& options, OptionVisitor& visitor) {
  visitor.heading("Learning");
  visitor.option({.name = "--rate", .help = "Relative size of a step", .example = "0.003", .least = 1e-6, .most = 0.1},
                 options.rate);
  visitor.option({.name = "--rounds", .help = "Rounds over the text", .example = "2", .least = 1, .most = 1000},
                 options.rounds);
}

TunedNorms tune_norms(const model::Model& original, const model::Model& quantized,
                      const importance::CalibrationSet& set, const NormOptions& options) {
  const model::Architecture &a = original.architecture(), &b = quantized.architecture();
  if (a.blocks != b.blocks || a.hidden != b.hidden || a.vocab != b.vocab || a.intermediate != b.intermediate)
    fail("{}: was not made from {}: {} blocks of {}, vocabulary {}, against {} of {}, {}", quantized.path().string(),
         original.path().string(), b.blocks, b.hidden, b.vocab, a.blocks, a.hidden, a.vocab);
  if (const std::string why = engine::why_no_gradient(b); !why.empty())
    fail("{}: its norms cannot be learned: {}", quantized.path().string(), why);
  if (!b.norm_weights) fail("{}: its norms have no weights that could be learned", quantized.path().string());
  if (set.sequences.size() < 2) fail_usage("norms are learned on two sequences or more; give more --samples or text");
  return NormTuner(original, quantized, set, options).run();
}

}  // namespace strata::pipeline
