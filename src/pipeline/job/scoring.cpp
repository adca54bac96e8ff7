// The order of scoring: request, model, calibration texts, scores, files.
// What is unfinished lies beside the output until the output is written.
#include "pipeline/job/scoring.h"

#include <algorithm>
#include <chrono>

#include "core/file.h"
#include "core/interrupt.h"
#include "core/journal.h"
#include "core/ranks.h"
#include "core/seconds.h"
#include "core/units.h"
#include "engine/model_gradient.h"
#include "hub/model_argument.h"
#include "importance/imatrix.h"
#include "importance/smooth_channels.h"
#include "importance/weight_scores.h"
#include "kernel/dispatch.h"
#include "model/tokenizer.h"
#include "pipeline/choose/costs.h"
#include "pipeline/choose/gradient_costs.h"
#include "pipeline/choose/planner.h"
#include "pipeline/job/precision.h"
#include "pipeline/measure/confirm.h"
#include "pipeline/plan/target.h"
#include "pipeline/report/scores_csv.h"
#include "pipeline/round/options.h"

namespace strata::pipeline {
namespace {

/// Bits of the plans whose costs are confirmed where nobody names signals: fisher errs below five bits.
constexpr double kConfirmedBits[] = {3.0, 4.25};

/// Whether the scores are to be all that planning needs, and what is cheap.
bool left_open(const ScoringRequest& asked) { return asked.signals.empty() && !asked.judge; }

importance::ScoreRequest signals_of(const ScoringRequest& asked, const model::Architecture& architecture) {
  importance::ScoreRequest request;
  request.codecs = allowed_codecs(target_by_name(asked.target), asked.codecs).codecs;
  if (left_open(asked)) {
    for (const importance::Signal& signal : importance::signals())
      if (!signal.costly) request.signals.push_back(&signal);
    for (const importance::Signal* signal : cheapest_cost_signals(request.codecs, architecture))
      if (signal->costly) request.signals.push_back(signal);
  }
  bool all = false;
  for (const std::string& name : asked.signals) {
    all = all || name == "all";
    if (name == "alpha")  // alpha is measured for every kind of grid among the codecs
      for (const importance::Signal* signal : price_signals(request.codecs)) request.signals.push_back(signal);
    else if (name != "all")
      request.signals.push_back(&importance::signal_by_name(name));
  }
  if (asked.judge) {
    all = all || request.signals.empty();
    request.signals.push_back(&importance::signal_by_name("kl"));
  }
  for (const importance::Signal& signal : importance::signals())
    if (all && concerns(signal, request.codecs)) request.signals.push_back(&signal);
  request.fit = asked.scale_fit;
  for (const std::string& name : asked.kl_codecs) request.measure.codecs.push_back(&codec::by_name(name));
  request.measure.tokens = asked.kl_tokens;
  request.measure.rounded_inputs = rounded_inputs(target_by_name(asked.target));
  if (!asked.output.empty()) request.measure.journal = asked.output + ".journal";
  if (!asked.prior.empty()) request.prior = importance::Prior::from_json(read_json_file(asked.prior), asked.prior);
  return request;
}

std::filesystem::path confirming_journal(const ScoringRequest& asked) {
  return asked.output.empty() ? "" : asked.output + ".confirm";
}

/// Measures the divergence of groups where plans of several sizes spend, so that plans of any size know how far the
/// gradients err. A size that no plan of the target has is passed over.
void confirm(engine::Engine& engine, std::span<const importance::CalibrationSet> sets,
             const importance::InputMeanSquare& inputs, const ScoringRequest& asked, importance::Scores& scores) {
  const Target& target = target_by_name(asked.target);
  const Ranks ranks = ranks_at_work();
  const std::filesystem::path journal = ranks.is_first() ? confirming_journal(asked) : "";
  for (const double bits : kConfirmedBits) {
    PlanRequest request;
    request.codecs = asked.codecs;
    request.budget = BitsBudget{bits};
    const auto next_plan = [&] {
      return make_plan(Problem(engine.model(), target, request, costs_of(scores, engine.architecture()))).plan;
    };
    try {
      check_request(engine.model(), target, request);
    } catch (const Error&) {
      continue;
    }
    confirm_costs(engine, sets, inputs, rounded_inputs(target), journal, scores, next_plan, ranks);
  }
}

/// Scores, and says how work resumes that Ctrl-C has stopped.
importance::ScoreResult score_sets(engine::Engine& engine, std::span<const importance::CalibrationSet> sets,
                                   importance::ScoreRequest request, const ScoringRequest& asked, Listener& listener) {
  request.measure.announce = [&](const std::string& label, std::size_t units, double seconds) {
    if (seconds > 2)
      listener.on_remark(fmt::format("{}: {} measurements, about {} in all", label, units, human_seconds(seconds)));
  };
  request.resumed = [&](std::size_t blocks) {
    listener.on_remark(
        fmt::format("resuming: {} of {} blocks were scored before", blocks, engine.architecture().blocks));
  };
  try {
    importance::ScoreResult result = importance::score(engine, sets, request, asked.combine);
    if (left_open(asked) && has_gradient_costs(result.scores))
      confirm(engine, sets, result.inputs, asked, result.scores);
    return result;
  } catch (const Interrupted&) {
    const auto kept = importance::kept_files(request.measure, sets.size());
    if (!kept.empty())
      listener.on_remark(
          fmt::format("what is done is kept in {}; the same command resumes there", kept.front().string()));
    throw;
  }
}

void write(const importance::Scores& scores, const ScoringRequest& asked, const model::Model& model) {
  if (asked.output.empty()) return;
  if (asked.output.ends_with(".csv"))
    write_text_file(asked.output, scores_csv(scores, model.architecture()));
  else
    write_json_file(asked.output, scores.to_json());
}

/// Scores a model that cannot be run, which takes signals of weights alone.
Scored score_weights(const model::Model& model, const importance::ScoreRequest& request, const ScoringRequest& asked) {
  const bool possible = !request.signals.empty() && std::ranges::all_of(request.signals, [](const auto* signal) {
    return signal->of_block != nullptr;
  });
  if (!possible)
    fail("{}: {}; score --signals {} reads weights alone", model.path().string(), model.architecture().why_not_runnable,
         importance::weight_signals());
  Scored scored;
  scored.scores = importance::score_weights(model, request.signals);
  scored.of_weights_alone = true;
  if (!ranks_at_work().is_first()) return scored;
  write(scored.scores, asked, model);
  return scored;
}

/// Says which of the signals that were asked for a model cannot have.
void say_left_out(const importance::ScoreRequest& request, const model::Model& model, Listener& listener) {
  const std::string why = engine::why_no_gradient(model.architecture());
  for (const importance::Signal* signal : request.signals)
    if (signal->needs_gradients && !why.empty())
      listener.on_remark(
          fmt::format("{} is left out: it needs gradients, which this model has not here: {}", signal->name, why));
}

/// The calibration texts, which the first rank reads or writes for all.
std::vector<importance::CalibrationSet> sets_of(const model::Model& model, const ScoringRequest& asked) {
  const Ranks ranks = ranks_at_work();
  engine::Engine engine(model, kernel::Precision::bf16);
  const auto tokenizer = model::Tokenizer::of(model);
  std::vector<importance::CalibrationSet> sets(std::max<std::size_t>(1, asked.calibration.texts.size()));
  if (ranks.is_first()) sets = importance::make_calibrations(engine, tokenizer, asked.calibration);
  for (importance::CalibrationSet& set : sets) importance::share(ranks, set);
  return sets;
}

/// The one text that quantize takes of them.
importance::CalibrationSet one_text(const model::Model& model, const ScoringRequest& asked,
                                    const std::vector<importance::CalibrationSet>& sets) {
  if (sets.size() == 1) return sets.front();
  engine::Engine engine(model, kernel::Precision::bf16);
  importance::CalibrationSet set;
  if (ranks_at_work().is_first())
    set = importance::make_calibration(engine, model::Tokenizer::of(model), asked.calibration);
  importance::share(ranks_at_work(), set);
  return set;
}

/// How the model is smoothed before codecs are measured on it, if any are. An importance matrix is of the original's
/// inputs.
double smoothing_of(const ScoringRequest& asked, const importance::ScoreRequest& request, const model::Model& model) {
  const Target& target = target_by_name(asked.target);
  check_smoothing(asked.smoothing, target);
  if (!asked.imatrix.empty() && asked.smoothing.value_or(0.0) > 0.0)
    fail_usage("--imatrix-out is of the inputs as they are; leave out --smooth");
  const auto rounds = [](const importance::Signal* signal) {
    return signal->of_linear != nullptr || signal->of_groups != nullptr || signal->of_choices != nullptr;
  };
  const bool measures = request.signals.empty() || std::ranges::any_of(request.signals, rounds);
  if (!measures || !asked.imatrix.empty()) return 0.0;
  return possible_smoothing(asked.smoothing ? *asked.smoothing : automatic_smoothing(target, request.codecs), model);
}

Scored score_passes(const model::Model& original, importance::ScoreRequest request, const ScoringRequest& asked,
                    Listener& listener) {
  const auto sets = sets_of(original, asked);
  if (sets.size() > 1 && !asked.imatrix.empty())
    fail_usage("--imatrix-out is of one calibration text; give --calib once");
  for (const importance::CalibrationSet& set : sets) listener.on_calibration(original, set);
  say_left_out(request, original, listener);
  request.smoothing = smoothing_of(asked, request, original);
  const model::Model model = request.smoothing == 0.0
                                 ? original
                                 : importance::smoothed(original, one_text(original, asked, sets), request.smoothing);
  if (const std::string text = describe_smoothing(request.smoothing, original); !text.empty()) listener.on_remark(text);
  engine::Engine engine(model, asked.precision);
  importance::ScoreResult result = score_sets(engine, sets, request, asked, listener);
  Scored scored;
  scored.scores = std::move(result.scores);
  scored.seconds = std::move(result.seconds);
  if (!ranks_at_work().is_first()) return scored;
  write(scored.scores, asked, model);
  if (!asked.imatrix.empty()) importance::write_imatrix(asked.imatrix, model, result.inputs, scored.scores.calibration);
  importance::remove_kept(request.measure, sets.size());
  for (std::size_t s = 0; s < sets.size() && !asked.output.empty(); ++s)
    Journal::remove(confirming_file(confirming_journal(asked), s));
  if (asked.judge)
    for (const codec::Codec* codec : importance::judged_codecs(scored.scores))
      scored.judged.push_back({codec, importance::judge(scored.scores, model.architecture(), *codec)});
  return scored;
}

}  // namespace

void visit(ScoringRequest& r, OptionVisitor& v) {
  std::vector<std::string> known;
  for (const importance::Signal& signal : importance::signals())
    known.push_back(std::string(signal.name) + (signal.costly ? " (costly)" : ""));
  v.option({.name = "MODEL", .help = hub::kModelArgument, .required = true}, r.model);
  v.option({.name = "--output",
            .help = "File to write: JSON for plan and quantize, or a table when its name ends in .csv",
            .letter = "-o",
            .required = true},
           r.output);
  v.option({.name = "--imatrix-out",
            .help = "Also write the inputs' mean squares as an importance matrix for llama-quantize",
            .example = "m.gguf"},
           r.imatrix);
  v.comma_list(
      {.name = "--signals",
       .help = fmt::format("Signals, or all; alpha stands for all its kinds that price the codecs. Default: all "
                           "that are not costly, and what prices codecs: fisher, confirmed by kl where plans "
                           "of 3 and 4.25 bits spend, or alpha where the model has no backward pass. "
                           "docs/signals.md explains them: {}",
                           fmt::join(known, ", ")),
       .example = "lim,zd"},
      r.signals);
  declare_target(r.target, v);
  v.comma_list({.name = "--codecs", .help = "Codecs to score (default: all of the target)", .example = "int4_g64"},
               r.codecs);
  v.comma_list({.name = "--kl-codecs",
                .help = "Codecs that kl measures; costs of others follow from these",
                .example = "int4_g64"},
               r.kl_codecs);
  v.option({.name = "--kl-tokens",
            .help = "Calibration tokens that kl measures on",
            .example = "1024",
            .least = 2,
            .most = 1 << 20},
           r.kl_tokens);
  v.choice({.name = "--combine", .help = "How the values of several --calib texts become one"}, r.combine,
           {{"mean", importance::Combine::mean}, {"max", importance::Combine::max}});
  v.option({.name = "--prior", .help = "Rules of the signal prior, in place of the literature's (docs/files.md)"},
           r.prior);
  v.flag({.name = "--judge", .help = "Measure kl too, and show how well every signal agrees with it"}, r.judge);
  declare_smoothing(r.smoothing, v);
  declare_scale_fit(r.scale_fit, v);
  declare_precision(r.precision, v);
  visit(r.calibration, v);
}

Scored score(const ScoringRequest& asked, Listener& listener) {
  const auto begin = std::chrono::steady_clock::now();
  const WorkingTogether together;
  kernel::keep_variant(ranks_at_work());
  const model::Model model = model::Model::open(asked.model, target_by_name(asked.target).fusion());
  const importance::ScoreRequest request = signals_of(asked, model.architecture());
  Scored scored = model.architecture().why_not_runnable.empty() ? score_passes(model, request, asked, listener)
                                                                : score_weights(model, request, asked);
  scored.took = seconds_since(begin);
  return scored;
}

json to_json(const Scored& scored) {
  json value = scored.scores.to_json();
  if (scored.judged.empty()) return value;
  json codecs = json::array();
  for (const JudgedCodec& judged : scored.judged) {
    json rows = json::array();
    for (const importance::Judgement& j : judged.signals)
      rows.push_back({{"signal", j.signal}, {"of", j.level}, {"spearman", j.spearman}, {"top_quarter", j.top_quarter}});
    codecs.push_back({{"codec", judged.codec->name}, {"signals", std::move(rows)}});
  }
  value["judge"] = {{"codecs", std::move(codecs)}, {"seconds", scored.seconds}};
  return value;
}

}  // namespace strata::pipeline
