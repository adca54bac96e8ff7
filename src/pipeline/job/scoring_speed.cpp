// Passes are timed on as many blocks as a fraction of a second allows, and scaled by blocks and tokens. All blocks that
// are timed have been run before, in turn, so that weights come from memory as they do in a whole pass.
#include "pipeline/job/scoring_speed.h"

#include <algorithm>
#include <numeric>

#include "core/checked.h"
#include "core/random.h"
#include "core/units.h"
#include "engine/sampler.h"
#include "importance/signals/fisher.h"
#include "pipeline/job/model_bytes.h"
#include "pipeline/measure/confirm.h"
#include "pipeline/measure/max_kl.h"

namespace strata::pipeline {
namespace {

constexpr double kTimed = 0.15;                // seconds of passes that are enough
constexpr double kPassesOfGradients = 4.0;     // forward passes that take as long as one forward and backward
constexpr std::size_t kRoundedRows = 64;       // rows of the linear that codecs are timed on
constexpr std::size_t kSequencesTogether = 4;  // of a batch that passes over the text are timed on

/// Seconds of passes over the whole model.
class PassSpeed {
 public:
  PassSpeed(const model::Model& model, kernel::Precision precision) : engine_(model, precision) {}

  /// All blocks, once, for a batch of `sequences` sequences of `tokens` tokens.
  double blocks(std::size_t sequences, std::size_t tokens) {
    const model::Architecture& a = engine_.architecture();
    Run one(engine_, 1, 1);
    for (double seconds = 0; touched_ < a.blocks && seconds < kTimed; ++touched_)
      seconds += seconds_of([&] { one.block(touched_); });
    Run run(engine_, sequences, tokens);
    double seconds = 0;
    std::size_t count = 0;
    for (; count < touched_ && seconds < kTimed; ++count) seconds += seconds_of([&] { run.block(count); });
    return seconds / static_cast<double>(count) * static_cast<double>(a.blocks);
  }
  /// The logits of `rows` rows.
  double head(std::size_t rows) {
    const model::Architecture& a = engine_.architecture();
    const std::vector<float> states(rows * a.hidden, 0.5f);
    std::vector<float> logits(rows * a.vocab);
    return seconds_of([&] { engine_.logits(states.data(), rows, logits.data()); });
  }

 private:
  /// A batch with all that a block needs. Hidden states are random.
  struct Run {
    Run(engine::Engine& of, std::size_t sequences, std::size_t tokens)
        : engine(of),
          batch(of.make_batch(std::vector<engine::Sequence>(sequences, engine::Sequence{tokens}))),
          shared(batch.tokens * of.architecture().shared_size),
          states(batch.tokens * of.architecture().hidden) {
      batch.ids.resize(batch.tokens);  // any will do
      batch.shared = shared.data();
      Random random(3);
      for (float& value : states) value = static_cast<float>(random.uniform()) - 0.5f;
    }
    void block(std::size_t b) { engine.run_block(b, batch, states.data()); }

    engine::Engine& engine;
    engine::Batch batch;
    std::vector<float> shared, states;
  };

  engine::Engine engine_;
  std::size_t touched_ = 0;  ///< blocks that have been run
};

double number(std::size_t count) { return static_cast<double>(count); }

/// Weights of the rows that codecs are judged by.
std::size_t sampled_weights(const model::Architecture& a) {
  std::size_t sampled = 0;
  for (const model::Linear& linear : a.linears)
    sampled += importance::sampled_rows(MatrixView::dense(nullptr, linear.rows, linear.cols, DType::f32)).weights();
  return sampled;
}

/// Seconds that rounding takes for a weight, in all codecs together, by the first rows of one linear.
double rounding_of_a_weight(const model::Model& model, const importance::ScoreRequest& needed) {
  const model::Architecture& a = model.architecture();
  if (needed.codecs.empty() || a.linears.empty()) return 0;
  const model::Linear& linear = a.linears[a.linears.size() / 2];
  const importance::DenseLinear dense(model, linear);
  MatrixView rows = dense.view();
  rows.rows = std::min(rows.rows, kRoundedRows);
  const std::vector<float> importance(linear.cols, 1.0f);
  const double seconds = seconds_of([&] {
    for (const codec::Codec* codec : needed.codecs)
      if (codec::why_not(*codec, linear.rows, linear.cols).empty())
        importance::rounding_error(*codec, rows, importance, needed.fit, codec::tensor_scale(*codec, dense.absmax()),
                                   {});
  });
  return seconds / number(rows.weights());
}

/// What is measured of groups, one by one: how often, and on how many tokens.
struct Measurements {
  std::size_t rounds = 0, count = 0, tokens = 0;
};

Measurements measurements_of(const importance::ScoreRequest& needed, std::size_t groups) {
  Measurements result{0, 0, needed.measure.tokens};
  for (const importance::Signal* signal : needed.signals) {
    const std::size_t codecs = signal->of_choices != nullptr ? needed.codecs.size() : 1;
    if (signal->of_choices == nullptr && signal->of_groups == nullptr) continue;
    ++result.rounds;
    result.count += groups * codecs;
  }
  const bool gradients = std::ranges::any_of(needed.signals, &importance::Signal::needs_gradients);
  if (!gradients || result.count != 0) return result;
  result = {std::size(kConfirmedGroups), 0, kConfirmTokens};
  for (const std::size_t count : kConfirmedGroups) result.count += std::min(count, groups);
  return result;
}

/// Whole plans that are measured: how often, on how many tokens, and what part of the blocks a plan is run through and
/// rounds anew.
struct MeasuredPlans {
  std::size_t count = 0, tokens = 0;
  double run = 0, rounded = 0;
  std::optional<double> most_seconds = {};
};

MeasuredPlans measured_plans(const QuantizeRequest& request, const model::Architecture& a) {
  // Bisection ends after about two thirds of the most; a group is rounded once for every codec that plans give it.
  if (std::holds_alternative<KlBudget>(request.plan.budget)) return {kMaxKlPlans * 2 / 3, kMaxKlTokens, 1.0, 0.25};
  const SearchOptions search = search_of(request.search, a);
  return {search.steps, search.tokens, 0.5, 1.0 / number(std::max<std::size_t>(1, a.groups.size())), search.seconds};
}

}  // namespace

std::string ScoringSeconds::describe() const {
  std::string parts;
  const auto add = [&](const char* what, double seconds) {
    if (seconds > 0) parts += fmt::format("{}{} {}", parts.empty() ? "" : ", ", what, human_seconds(seconds));
  };
  add("text", text);
  add("gradients", gradients);
  add("errors of codecs", errors);
  add("measurements of groups", measurements);
  add("measurements of plans", plans);
  return fmt::format("{}: {}", human_seconds(sum()), parts);
}

ScoringSeconds scoring_seconds(const model::Model& model, const QuantizeRequest& request,
                               const importance::ScoreRequest& needed) {
  const model::Architecture& a = model.architecture();
  const importance::TextSize size = request.calibration.size();
  const double sets = number(std::max<std::size_t>(1, request.calibration.texts.size()));
  ScoringSeconds seconds;
  PassSpeed rounded(model, kernel::Precision::bf16);
  if (request.calibration.texts.empty()) {
    const std::size_t together = engine::texts_at_once(a, size.samples, size.seq_len);
    const double step = rounded.blocks(together, 1) + rounded.head(together);
    seconds.text = step * number(ceil_div(size.samples, together) * (size.seq_len - 1));
  }
  const std::size_t sequences = std::min(size.samples, kSequencesTogether);
  const double pass = rounded.blocks(sequences, size.seq_len) / number(sequences), head = rounded.head(size.seq_len);
  if (std::ranges::any_of(needed.signals, &importance::Signal::needs_gradients))
    seconds.gradients = sets * kPassesOfGradients * (pass + head) *
                        number(importance::sensitivity_sequences(size.samples, size.seq_len));
  const Measurements measured = measurements_of(needed, a.groups.size());
  const std::size_t measured_sequences = std::min(size.samples, ceil_div(measured.tokens, size.seq_len));
  // A changed group is followed through half of the blocks, on average, to the logits.
  seconds.measurements = sets * number(measured_sequences) *
                         (number(measured.count) * (0.5 * pass + head) + number(measured.rounds) * (pass + head));
  PassSpeed exact(model, kernel::Precision::f32);
  const double exact_pass = exact.blocks(sequences, size.seq_len) / number(sequences);
  const double of_a_weight = rounding_of_a_weight(model, needed);
  seconds.errors = sets * exact_pass * number(size.samples);
  if (!needed.signals.empty()) seconds.errors += sets * of_a_weight * number(sampled_weights(a));
  if (const MeasuredPlans plans = measured_plans(request, a); plans.count > 0) {
    const double texts = number(std::min(size.samples, ceil_div(plans.tokens, size.seq_len)));
    const double rounding = of_a_weight / number(std::max<std::size_t>(1, needed.codecs.size()));
    seconds.plans = number(plans.count) * (texts * (plans.run * exact_pass + exact.head(size.seq_len)) +
                                           plans.rounded * rounding * number(a.block_linear_weights()));
    if (plans.most_seconds) seconds.plans = std::min(seconds.plans, *plans.most_seconds);
  }
  return seconds;
}

}  // namespace strata::pipeline
