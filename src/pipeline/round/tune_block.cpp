// A step takes a mini-batch of sequences: decode, forward, gradient of the error, backward, a step down the gradient.
// A generator seeded by the block orders the sequences, so that a block comes out the same in every run.
#include "pipeline/round/tune_block.h"

#include <algorithm>
#include <numeric>

#include "codec/codec.h"
#include "core/error.h"
#include "core/random.h"
#include "core/threads.h"
#include "engine/gradient.h"
#include "pipeline/round/held_out.h"

namespace strata::pipeline {
namespace {

constexpr std::size_t kBlockEvaluations = 8;  // how often the held-out loss is measured while learning

class Tuner {
 public:
  Tuner(engine::Engine& engine, std::size_t block, const TuneData& data,
        std::map<std::size_t, quantize::LearnedRounding>& learned, const TuneOptions& options)
      : engine_(engine),
        data_(data),
        learned_(learned),
        options_(options),
        gradient_(engine, block, kernel::Precision::bf16),
        first_(engine.architecture().layout[block].first),
        hidden_(engine.architecture().hidden),
        random_(block),
        sequences_(hold_out(data.inputs.count())) {
    widen(block);
  }

  BlockLoss run(const std::function<void()>& tick) {
    decode();
    weigh_tokens();
    BlockLoss loss;
    loss.start = loss.best = held_loss();
    const std::size_t steps = options_.steps, each = std::max<std::size_t>(1, steps / kBlockEvaluations);
    for (std::size_t i = 0; i < steps; ++i) {
      step(static_cast<float>(steps - i) / static_cast<float>(steps));
      tick();
      if ((i + 1) % each != 0 && i + 1 != steps) continue;
      if (const double now = held_loss(); now < loss.best) {
        loss.best = now;
        for (auto& [l, linear] : learned_) linear.keep();
      }
    }
    return loss;
  }

 private:
  /// Widens the linears of the block to f32, and leaves room for those that are learned, which decode() fills. Experts
  /// that are not learned are left to the model.
  void widen(std::size_t block) {
    const auto& linears = engine_.architecture().linears;
    for (std::size_t l = first_; l < first_ + engine_.architecture().layout[block].count; ++l) {
      wanted_.push_back(learned_.contains(l));
      if (!wanted_.back() && linears[l].routed()) {
        weights_.emplace_back();
        views_.emplace_back();
        continue;
      }
      std::vector<float> values(linears[l].rows * linears[l].cols);
      const model::LinearWeights held = engine_.model().weights(linears[l]);
      if (!learned_.contains(l))
        for (std::size_t r = 0; r < linears[l].rows; ++r)
          codec::widen_row(held.view().dense, r, std::span(values).subspan(r * linears[l].cols, linears[l].cols));
      weights_.push_back(std::move(values));
      views_.push_back(
          {MatrixView::dense(weights_.back().data(), linears[l].rows, linears[l].cols, DType::f32), nullptr});
    }
    gradients_.resize(weights_.size());
  }

  void decode() {
    for (auto& [l, linear] : learned_) linear.decode(weights_[l - first_]);
  }

  /// Copies the rows of these sequences one after another, and makes their batch.
  void gather(std::span<const std::size_t> sequences) {
    const std::size_t size = data_.inputs.floats();
    inputs_.resize(sequences.size() * size);
    targets_.resize(sequences.size() * size);
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      std::copy_n(data_.inputs.borrow(sequences[i], 1), size, inputs_.data() + i * size);
      std::copy_n(data_.targets.borrow(sequences[i], 1), size, targets_.data() + i * size);
    }
    gathered_.assign(sequences.begin(), sequences.end());
    batch_ = engine_.make_batch(std::vector<engine::Sequence>(sequences.size(), engine::Sequence{data_.seq_len}));
    data_.side.lend(batch_, sequences);
  }

  /// The weight of gathered token `t` in the loss.
  double& weight_of(std::size_t t) {
    return token_weights_[gathered_[t / data_.seq_len] * data_.seq_len + t % data_.seq_len];
  }

  /// Calls body(token, |out - target|^2, |target|^2) for the gathered tokens, in parallel.
  template <class Body>
  void for_each_token(const float* out, const Body& body) {
    parallel_for(batch_.tokens, [&](std::size_t t) {
      const float *const target = targets_.data() + t * hidden_, *const y = out + t * hidden_;
      double squares = 0.0, errors = 0.0;
      for (std::size_t i = 0; i < hidden_; ++i) {
        const double want = target[i], error = static_cast<double>(y[i]) - want;
        squares += want * want;
        errors += error * error;
      }
      body(t, errors, squares);
    });
  }

  /// Weighs every token by the size of its target and of its error at the start. Otherwise a token that went far astray
  /// in earlier blocks (its target is small, say, and its input one of the few huge ones) would be all of the loss.
  void weigh_tokens() {
    token_weights_.resize(data_.inputs.count() * data_.seq_len);
    const std::size_t together = sequences_of_a_batch();
    std::vector<std::size_t> sequences;
    for (std::size_t s = 0; s < data_.inputs.count(); s += together) {
      sequences.resize(std::min(together, data_.inputs.count() - s));
      std::iota(sequences.begin(), sequences.end(), s);
      gather(sequences);
      for_each_token(
          gradient_.forward(batch_, inputs_.data(), views_),
          [&](std::size_t t, double errors, double squares) { weight_of(t) = 1.0 / (squares + errors + 1e-12); });
    }
  }

  /// Returns the sum of weight |out - target|^2 over the gathered tokens. Turns targets_ into its gradient by `out`.
  double compare(const float* out) {
    std::vector<double> losses(batch_.tokens);
    for_each_token(out, [&](std::size_t t, double errors, double) {
      const double weight = weight_of(t);
      losses[t] = errors * weight;
      float* const target = targets_.data() + t * hidden_;
      for (std::size_t i = 0; i < hidden_; ++i)
        target[i] = static_cast<float>(2.0 * weight) * (out[t * hidden_ + i] - target[i]);
    });
    return std::accumulate(losses.begin(), losses.end(), 0.0);
  }

  std::size_t sequences_of_a_batch() const { return std::max<std::size_t>(1, options_.batch_tokens / data_.seq_len); }

  double held_loss() {
    const std::size_t together = sequences_of_a_batch();
    double sum = 0.0;
    for (std::size_t s = 0; s < sequences_.held.size(); s += together) {
      gather(std::span(sequences_.held).subspan(s, std::min(together, sequences_.held.size() - s)));
      sum += compare(gradient_.forward(batch_, inputs_.data(), views_));
    }
    return sum / static_cast<double>(sequences_.held.size() * data_.seq_len);
  }

  /// Draws the sequences of the next step. They are shuffled anew once every one of them has been drawn.
  std::vector<std::size_t> draw() {
    std::vector<std::size_t> drawn;
    while (drawn.size() < std::min(sequences_of_a_batch(), sequences_.training.size())) {
      if (next_ == 0) {
        random_.shuffle(sequences_.training);
        next_ = sequences_.training.size();
      }
      drawn.push_back(sequences_.training[--next_]);
    }
    return drawn;
  }

  void step(float share) {
    gather(draw());
    compare(gradient_.forward(batch_, inputs_.data(), views_));
    gradient_.backward(batch_, targets_.data(), views_, wanted_, gradients_, nullptr);
    for (auto& [l, linear] : learned_) {
      if (gradients_[l - first_].empty()) continue;  // an expert to which no token is routed
      linear.step(gradients_[l - first_], weights_[l - first_], share * options_.offset_rate,
                  share * options_.scale_rate);
    }
    decode();
  }

  engine::Engine& engine_;
  const TuneData& data_;
  std::map<std::size_t, quantize::LearnedRounding>& learned_;
  const TuneOptions& options_;
  engine::BlockGradient gradient_;
  std::size_t first_, hidden_;
  Random random_;
  HeldOut sequences_;
  std::size_t next_ = 0;  ///< training sequences not drawn yet in this round; they are the first ones
  std::vector<std::vector<float>> weights_, gradients_;
  engine::BlockGradient::Linears views_;
  std::vector<bool> wanted_;
  engine::Batch batch_;
  std::vector<float> inputs_, targets_;
  std::vector<std::size_t> gathered_;  ///< indices of sequences
  std::vector<double> token_weights_;  ///< for every token of all sequences
};

}  // namespace

void visit(TuneOptions& options, OptionVisitor& visitor) {
  constexpr std::size_t kSteps = 100;
  const auto set = [&options](const OptionWords& words) {
    const bool on = OptionVisitor::check_flag("--tune", words.front().front());
    if (!on || options.steps == 0) options.steps = on ? kSteps : 0;
  };
  visitor.declare(
      {.name = "--tune", .help = "Learn the rounding of each block as a whole after gptq; worth its time near 2 bits"},
      {OptionValue::Kind::flag, set, [&options] { return json(options.steps > 0); }});
  const OptionInfo steps{
      .name = "--tune-steps",
      .help = fmt::format("Steps of gradient descent a block; implies --tune, which takes {}", kSteps),
      .example = "50",
      .least = 1,
      .most = 100000};
  visitor.text(
      steps, [&options, steps](const std::string& word) { options.steps = parse_count(steps, word); },
      [&options] { return options.steps == 0 ? json() : json(options.steps); }, "N");
}

BlockLoss tune_block(engine::Engine& engine, std::size_t block, const TuneData& data,
                     std::map<std::size_t, quantize::LearnedRounding>& learned, const TuneOptions& options,
                     const std::function<void()>& tick) {
  STRATA_CHECK(options.steps > 0 && data.inputs.count() == data.targets.count());
  return Tuner(engine, block, data, learned, options).run(tick);
}

}  // namespace strata::pipeline
