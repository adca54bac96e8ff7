// First the weights, so that a damaged file is named before any computing starts; then the pass over the calibration
// set; then each linear under each codec, which needs both.
#include "importance/score.h"

#include <algorithm>
#include <chrono>

#include "core/progress.h"
#include "core/threads.h"

namespace strata::importance {
namespace {

using engine::Site;
using model::Linear;

/// Feeds block_in and block_out to the activation signals, a sequence at a time.
class BlockFeeder {
 public:
  void add(std::string_view name, std::unique_ptr<ActivationSignal> signal) {
    signals_.push_back({name, std::move(signal)});
  }

  void observe(const SiteRows& rows) {
    if (signals_.empty()) return;
    // The engine updates the hidden states in place, so what came in is copied.
    if (rows.site == Site::block_in) before_.assign(rows.rows, rows.rows + rows.sequences * rows.tokens * rows.size);
    if (rows.site != Site::block_out) return;
    parallel_for(rows.sequences, [&](std::size_t s) {
      const BlockRows block{rows.block,
                            rows.first_sequence + s,
                            rows.tokens,
                            rows.size,
                            before_.data() + s * rows.tokens * rows.size,
                            rows.of_sequence(s)};
      for (auto& [name, signal] : signals_) signal->on_block(block);
    });
  }

  void finish(Scores& scores) const {
    for (const auto& [name, signal] : signals_) {
      BlockScores& block = scores.blocks[std::string(name)];
      for (const Estimate& value : signal->result()) {
        block.values.push_back(value.mean);
        if (value.standard_error) block.standard_errors.push_back(*value.standard_error);
      }
    }
  }

 private:
  std::vector<std::pair<std::string_view, std::unique_ptr<ActivationSignal>>> signals_;
  std::vector<float> before_;
};

class Scorer {
 public:
  Scorer(engine::Engine& engine, const CalibrationSet& set, const ScoreRequest& request)
      : engine_(engine), model_(engine.model()), a_(engine.architecture()), set_(set), request_(request) {
    for (const Signal& signal : signals())
      if ((request.signals.empty() && !signal.costly) ||
          std::ranges::find(request.signals, &signal) != request.signals.end())
        signals_.push_back(&signal);
  }

  ScoreResult run() {
    ScoreResult result{{}, {}, InputMeanSquare(model_)};
    result.scores.fingerprint = model_.fingerprint();
    result.scores.calibration = set_.source;
    result.scores.fit = request_.fit;
    const auto timed = [&](const auto& wanted, const auto& work) {
      const auto begin = std::chrono::steady_clock::now();
      work();
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      for (const Signal* signal : signals_)
        if (wanted(*signal)) result.seconds[std::string(signal->name)] = seconds;
    };
    timed([](const Signal& s) { return s.of_block != nullptr; }, [&] { look_at_weights(result.scores); });
    BlockFeeder feeder;
    for (const Signal* signal : signals_)
      if (signal->observe != nullptr) feeder.add(signal->name, signal->observe(a_.blocks, set_.sequences.size()));
    const PassObserver observers[] = {[&](const SiteRows& rows) { feeder.observe(rows); },
                                      [&](const SiteRows& rows) { result.inputs.observe(rows); }};
    timed([](const Signal& s) { return s.observe != nullptr; }, [&] { run_calibration(engine_, set_, observers); });
    feeder.finish(result.scores);
    for (const Signal* signal : signals_) {
      if (signal->observe != nullptr || signal->of_block != nullptr) continue;
      timed([&](const Signal& s) { return &s == signal; }, [&] { score_measured(*signal, result); });
    }
    return result;
  }

 private:
  /// Signals of blocks from weights, and the largest weight of every fusion group.
  void look_at_weights(Scores& scores) {
    Progress progress("weights", a_.blocks);
    absmax_.resize(a_.groups.size(), 0.0f);
    const bool wanted = std::ranges::any_of(signals_, [](const Signal* s) { return s->of_block != nullptr; });
    for (std::size_t b = 0; b < a_.blocks; ++b) {
      const std::size_t first = a_.index(b, model::Role::q);
      const auto linears = std::span(a_.linears).subspan(first, model::kBlockLinears);
      if (wanted) {
        const BlockWeights weights(model_, b);
        for (const Signal* signal : signals_)
          if (signal->of_block != nullptr)
            scores.blocks[std::string(signal->name)].values.push_back(signal->of_block(weights));
        for (std::size_t i = 0; i < weights.size(); ++i) note_absmax(linears[i], weights.linear(i).absmax());
      } else {
        for (const Linear& linear : linears) note_absmax(linear, DenseLinear(model_, linear).absmax());
      }
      release(first, linears.size());
      progress.advance();
    }
    for (std::size_t i = a_.blocks * model::kBlockLinears; i < a_.linears.size(); ++i)
      note_absmax(a_.linears[i], DenseLinear(model_, a_.linears[i]).absmax());
  }

  void note_absmax(const Linear& linear, float absmax) {
    absmax_[linear.group] = std::max(absmax_[linear.group], absmax);
  }

  /// Mapped pages of linears that will not be read again soon.
  void release(std::size_t first, std::size_t count) const {
    for (const Linear& linear : std::span(a_.linears).subspan(first, count))
      if (model_.codec_of(linear) == nullptr) model_.release(linear.module + ".weight");
  }

  void score_linears(const Signal& signal, ScoreResult& result) const {
    std::vector<LinearScores>& scores = result.scores.linears[std::string(signal.name)];
    Progress progress(std::string(signal.name), a_.linears.size() * request_.codecs.size());
    for (std::size_t i = 0; i < a_.linears.size(); ++i) {
      const Linear& linear = a_.linears[i];
      progress.note(linear.module);
      const DenseLinear dense(model_, linear);
      const std::vector<float> mean_square = result.inputs.of(linear);
      const LinearCase linear_case{dense.view(), mean_square, absmax_[linear.group], request_.fit};
      LinearScores& score = scores.emplace_back();
      score.module = linear.module;
      for (const codec::Codec* codec : request_.codecs) {
        if (codec::why_not(*codec, linear.rows, linear.cols).empty()) {
          const quantize::WeightedError error = signal.of_linear(linear_case, *codec);
          score.normalizer = error.energy;
          score.codecs.push_back({codec, codec::stored_bytes(*codec, linear.rows, linear.cols), error.error});
        }
        progress.advance();
      }
      release(i, 1);
    }
  }

  void score_measured(const Signal& signal, ScoreResult& result) const {
    if (signal.of_linear != nullptr) score_linears(signal, result);
    if (signal.of_groups != nullptr) score_groups(signal, result);
    if (signal.of_choices == nullptr) return;
    MeasureRequest measure = request_.measure;
    if (measure.codecs.empty()) measure.codecs = request_.codecs;
    result.scores.choices[std::string(signal.name)] = signal.of_choices(engine_, set_, result.inputs, measure);
  }

  void score_groups(const Signal& signal, ScoreResult& result) const {
    GroupScores& scores = result.scores.groups[std::string(signal.name)];
    for (const Estimate& value : signal.of_groups(engine_, set_, result.inputs)) {
      scores.values.push_back(value.mean);
      scores.standard_errors.push_back(value.standard_error.value_or(0.0));
    }
  }

  engine::Engine& engine_;
  const model::Model& model_;
  const model::Architecture& a_;
  const CalibrationSet& set_;
  const ScoreRequest& request_;
  std::vector<const Signal*> signals_;
  std::vector<float> absmax_;  ///< by fusion group
};

}  // namespace

ScoreResult score(engine::Engine& engine, const CalibrationSet& set, const ScoreRequest& request) {
  return Scorer(engine, set, request).run();
}

}  // namespace strata::importance
