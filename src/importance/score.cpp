// The weights are read first, so that a damaged file is named before any computing starts; then comes the pass over the
// calibration set, which scores the linears of a block as soon as it ran; then what runs the model with parts rounded.
#include "importance/score.h"

#include <algorithm>
#include <chrono>

#include "core/error.h"
#include "core/progress.h"
#include "core/seconds.h"
#include "core/threads.h"
#include "engine/model_gradient.h"
#include "importance/kept_pass.h"
#include "importance/linear_scorer.h"
#include "importance/signals/fisher.h"
#include "importance/single_changes.h"

namespace strata::importance {
namespace {

using engine::Site;
using model::Linear;
using Clock = std::chrono::steady_clock;

/// Gathers the signals of blocks that are made from activations, a sequence at a time.
class BlockObserver {
 public:
  BlockObserver(std::size_t blocks, std::size_t sequences) : none_(blocks, std::vector<double>(sequences)) {}

  void add(const Signal& signal) { values_.emplace_back(&signal, none_); }
  /// Every rank gets the values of a block that ranks have run.
  void share(const Ranks& ranks, const std::vector<std::size_t>& begins, std::size_t block) {
    for (auto& [signal, samples] : values_) ranks.share_all(std::span(samples[block]), begins);
  }
  /// The values by block of each signal that was added.
  std::span<const std::pair<const Signal*, Samples>> values() const { return values_; }
  friend void visit(BlockObserver& blocks, Snapshot& snapshot) {
    for (auto& [signal, samples] : blocks.values_) snapshot(samples);
  }

  /// A PassObserver.
  void observe(const SiteRows& rows) {
    if (values_.empty()) return;
    // The engine updates the hidden states in place, so what came in is copied.
    if (rows.site == Site::block_in) before_.assign(rows.rows, rows.rows + rows.sequences * rows.tokens * rows.size);
    if (rows.site != Site::block_out) return;
    parallel_for(rows.sequences, [&](std::size_t s) {
      const BlockRows block{rows.tokens, rows.size, before_.data() + s * rows.tokens * rows.size, rows.of_sequence(s)};
      for (auto& [signal, samples] : values_) samples[rows.block][rows.first_sequence + s] = signal->of_rows(block);
    });
  }

 private:
  const Samples none_;
  std::vector<std::pair<const Signal*, Samples>> values_;
  std::vector<float> before_;
};

class Scorer {
 public:
  Scorer(engine::Engine& engine, const CalibrationSet& set, const ScoreRequest& request)
      : engine_(engine),
        model_(engine.model()),
        a_(engine.architecture()),
        set_(set),
        request_(request),
        result_{{}, {}, InputMeanSquare(model_)},
        ranks_(ranks_at_work()),
        blocks_(a_.blocks, set.sequences.size()) {
    const std::string no_gradients = engine::why_no_gradient(a_);
    for (const Signal& signal : signals()) {
      if (signal.needs_gradients && !no_gradients.empty()) continue;
      if ((request.signals.empty() && !signal.costly && concerns(signal, request.codecs)) ||
          std::ranges::find(request.signals, &signal) != request.signals.end())
        signals_.push_back(&signal);
    }
    if (signals_.empty() && !request.signals.empty())
      fail("{}: {} needs gradients, which this model has not here: {}", model_.path().string(),
           request.signals.front()->name, no_gradients);
  }

  ScoreResult run() {
    // Hessians are summed over the sequences in order, in parts that may be wider than the share of a rank.
    if (!std::ranges::any_of(signals_, &Signal::needs_products)) pass_ranks_ = ranks_of_pass(ranks_, set_);
    result_.scores.fingerprint = model_.fingerprint();
    result_.scores.calibration = set_.source;
    result_.scores.fit = request_.fit;
    result_.scores.smoothing = request_.smoothing;
    result_.scores.rounded_inputs = request_.measure.rounded_inputs.names();
    if (std::ranges::any_of(signals_,
                            [](const Signal* s) { return s->of_groups != nullptr || s->of_choices != nullptr; }))
      check_journal(engine_, set_, request_.measure);
    prepare_pass();
    run_pass();
    finish_pass();
    for (const Signal* signal : signals_)
      timed([&](const Signal& s) { return &s == signal; }, [&] { score_measured(*signal); });
    result_.scores.stability = rank_agreement(halves_[0], halves_[1]);
    return std::move(result_);
  }

 private:
  template <class Wanted, class Work>
  void timed(const Wanted& wanted, const Work& work) {
    const auto begin = Clock::now();
    work();
    const double seconds = seconds_since(begin);
    for (const Signal* signal : signals_)
      if (wanted(*signal)) result_.seconds[std::string(signal->name)] += seconds;
  }

  /// Signals of blocks from weights, and the largest weight of every fusion group.
  void look_at_weights() {
    Progress progress("weights", a_.blocks);
    absmax_.resize(a_.groups.size(), 0.0f);
    const bool wanted = std::ranges::any_of(signals_, [](const Signal* s) { return s->of_block != nullptr; });
    for (const Signal* signal : signals_)
      if (signal->of_block != nullptr) result_.scores.blocks[std::string(signal->name)].values.resize(a_.blocks);
    for (std::size_t b = pass_ranks_.first_of(a_.blocks); b < pass_ranks_.end_of(a_.blocks); ++b) {
      if (wanted) {
        const BlockWeights weights(model_, b);
        for (const Signal* signal : signals_)
          if (signal->of_block != nullptr)
            result_.scores.blocks[std::string(signal->name)].values[b] = signal->of_block(weights);
      }
      for (const Linear& linear : a_.linears)
        if (linear.block == b) note_absmax(linear);
      progress.advance();
    }
    for (const Linear& linear : a_.linears)
      if (linear.block == model::kNoBlock) note_absmax(linear);
    for (const Signal* signal : signals_)
      if (signal->of_block != nullptr)
        pass_ranks_.share_all(std::span(result_.scores.blocks[std::string(signal->name)].values));
    // A group may have linears in the blocks of several ranks.
    pass_ranks_.share_largest(std::span(absmax_));
  }

  void note_absmax(const Linear& linear) {
    absmax_[linear.group] = std::max(absmax_[linear.group], DenseLinear(model_, linear).absmax());
    // The mapped pages of these weights will not be read again soon.
    if (model_.codec_of(linear) == nullptr) model_.release(linear.module + ".weight");
  }

  /// Makes what gathers all that needs activations.
  void prepare_pass() {
    std::vector<const Signal*> of_linear;
    for (const Signal* signal : signals_) {
      if (signal->of_rows != nullptr) blocks_.add(*signal);
      if (signal->observe_linears != nullptr)
        sites_.emplace_back(signal->name, signal->observe_linears(model_, set_.sequences.size()));
      if (signal->of_linear != nullptr) of_linear.push_back(signal);
    }
    linears_.emplace(model_, std::move(of_linear), request_, LinearScorer::Found{absmax_, result_.inputs, by_column_});
  }

  /// What the state of the pass depends on.
  json job_of_pass() const {
    json job = pass_job("scores", engine_, set_);
    job["groups"] = a_.groups.size();
    job["scales"] = fit_name(request_.fit);
    for (const Signal* signal : signals_) job["signals"].push_back(signal->name);
    for (const codec::Codec* codec : request_.codecs)
      job["codecs"].push_back(request_.measure.rounded_inputs.text(*codec));
    return job;
  }

  void visit_pass(Snapshot& snapshot) {
    snapshot(absmax_);
    snapshot(by_column_);
    snapshot(result_.scores.blocks);
    snapshot(result_.inputs);
    snapshot(result_.seconds);
    snapshot(pass_seconds_);
    snapshot(linear_seconds_);
    snapshot(blocks_);
    for (auto& [name, signal] : sites_) snapshot(signal->samples());
    snapshot(*linears_);
  }

  /// Looks at the weights, then runs the calibration set; or does what an earlier run has left of this.
  void run_pass() {
    KeptPass kept(pass_of(request_.measure.journal), job_of_pass(), pass_, [&](Snapshot& s) { visit_pass(s); },
                  {pass_ranks_, set_.sequences.size()});
    if (kept.read()) {
      if (request_.resumed) request_.resumed(pass_.blocks);
    } else {
      timed([](const Signal& s) { return s.of_block != nullptr; }, [&] { look_at_weights(); });
      const auto by_gradients = [](const Signal& s) { return s.needs_gradients; };
      if (std::ranges::any_of(signals_, [&](const Signal* s) { return by_gradients(*s); }))
        timed(by_gradients, [&] { by_column_ = sensitivities(engine_, set_, pass_ranks_); });
      kept.keep();
    }
    const PassObserver observers[] = {[&](const SiteRows& rows) { blocks_.observe(rows); },
                                      [&](const SiteRows& rows) { result_.inputs.observe(rows); },
                                      [&](const SiteRows& rows) {
                                        for (const auto& site : sites_)
                                          timed([&](const Signal& s) { return s.name == site.first; },
                                                [&] { site.second->on_rows(rows); });
                                      },
                                      [&](const SiteRows& rows) { linears_->observe(rows); }};
    auto block_begin = Clock::now();
    const BlockDone done = [&](std::size_t block) {
      share_block(block);
      const auto begin = Clock::now();
      const bool last = pass_.blocks == a_.blocks;
      linears_->score_block(block, pass_ranks_);
      if (last) linears_->score_block(model::kNoBlock, pass_ranks_);
      linear_seconds_ += seconds_since(begin);
      pass_seconds_ += seconds_since(block_begin);
      if (last)
        kept.keep();
      else
        kept.keep_if_due();
      block_begin = Clock::now();
    };
    run_calibration(
        engine_, set_, observers, done,
        [&](const PassExpertRows& rows) {
          result_.inputs.observe_expert(rows);
          linears_->observe_expert(rows);
        },
        pass_, pass_ranks_);
  }

  /// Every rank gets what all have gathered in a block; after the last one, of the head too.
  void share_block(std::size_t block) {
    const std::vector<std::size_t> begins = sequences_of_ranks(pass_ranks_, set_.sequences.size());
    blocks_.share(pass_ranks_, begins, block);
    for (auto& [name, signal] : sites_)
      for (std::size_t l = 0; l < a_.linears.size(); ++l)
        if (a_.linears[l].block == block || (a_.linears[l].block == model::kNoBlock && block + 1 == a_.blocks))
          pass_ranks_.share_all(std::span(signal->samples()[l]), begins);
    result_.inputs.share(pass_ranks_, set_.sequences.size(), block);
  }

  /// Makes scores of what the pass has gathered.
  void finish_pass() {
    if (a_.experts.count != 0)
      for (std::size_t b = 0; b < a_.blocks; ++b) result_.scores.routed_tokens.push_back(result_.inputs.routed(b));
    for (const auto& [signal, samples] : blocks_.values()) {
      const std::string name(signal->name);
      keep(&Scores::blocks, name, samples);
      result_.seconds[name] = std::max(0.0, pass_seconds_ - linear_seconds_);
    }
    for (auto& [name, signal] : sites_) keep(&Scores::modules, name, signal->samples());
    linears_->finish(result_.scores, halves_);
    for (const auto& [name, seconds] : linears_->seconds()) result_.seconds[name] += seconds;
  }

  /// Puts the means of samples into the scores, and the means over each half of the sequences into its own scores.
  void keep(std::map<std::string, ItemScores> Scores::*member, const std::string& name, const Samples& samples) {
    ItemScores& scores = (result_.scores.*member)[name];
    for (const Estimate& value : estimates(samples)) {
      // The value of a group without influence is the rounding of the sums, which may be below 0.
      scores.values.push_back(member == &Scores::blocks ? value.mean : std::max(0.0, value.mean));
      scores.standard_errors.push_back(value.standard_error.value_or(0.0));
    }
    if (set_.sequences.size() < 2) scores.standard_errors.clear();
    // One sequence has no halves, and a signal that was not measured at all (all empty) has none to compare.
    if (std::ranges::any_of(samples, [](const auto& values) { return values.size() == 1; }) ||
        std::ranges::all_of(samples, [](const auto& values) { return values.empty(); }))
      return;
    for (const std::vector<double>& values : samples)
      for (std::size_t h = 0; h < 2; ++h)
        (halves_[h].*member)[name].values.push_back(values.empty() ? 0.0 : half_means(values)[h]);
  }

  void keep(const std::string& name, std::vector<std::vector<Measurement>> measured) {
    for (const auto& group : measured)
      for (std::size_t h = 0; h < 2; ++h) {
        auto& half = halves_[h].choices[name].emplace_back();
        for (const Measurement& m : group)
          if (m.samples.size() >= 2) half.push_back({m.codec, half_means(m.samples)[h], 0.0, {}});
      }
    result_.scores.choices[name] = std::move(measured);
  }

  void score_measured(const Signal& signal) {
    const std::string name(signal.name);
    MeasureRequest measure = request_.measure;
    if (measure.codecs.empty()) measure.codecs = request_.codecs;
    if (signal.of_architecture != nullptr)
      result_.scores.groups[name].values = request_.prior ? request_.prior->of_groups(a_) : signal.of_architecture(a_);
    if (signal.of_groups != nullptr)
      keep(&Scores::groups, name, signal.of_groups(signal, engine_, set_, result_.inputs, measure));
    if (signal.of_choices != nullptr) keep(name, signal.of_choices(engine_, set_, result_.inputs, measure));
  }

  engine::Engine& engine_;
  const model::Model& model_;
  const model::Architecture& a_;
  const CalibrationSet& set_;
  const ScoreRequest& request_;
  ScoreResult result_;
  Ranks ranks_, pass_ranks_;      ///< that share the measurements, and the pass
  std::array<Scores, 2> halves_;  ///< values over the first and the second half of the sequences
  std::vector<const Signal*> signals_;
  std::vector<float> absmax_;  ///< by fusion group

  // The pass, all of which an earlier run may have kept.
  PassState pass_;
  Sensitivities by_column_;  ///< empty unless a signal needs them
  BlockObserver blocks_;
  std::vector<std::pair<std::string, std::unique_ptr<SiteSignal>>> sites_;
  std::optional<LinearScorer> linears_;
  double pass_seconds_ = 0.0, linear_seconds_ = 0.0;  ///< linear: of the pass, those spent on linears under codecs
};

}  // namespace

ScoreResult score(engine::Engine& engine, const CalibrationSet& set, const ScoreRequest& request) {
  if (ranks_at_work().is_first()) return Scorer(engine, set, request).run();
  ScoreRequest helping = request;  // the first rank keeps the work and tells of it
  helping.measure.journal.clear();
  helping.measure.announce = {};
  helping.resumed = {};
  return Scorer(engine, set, helping).run();
}

}  // namespace strata::importance
