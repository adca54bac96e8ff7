// strata score: the importance of every block and linear, into scores.json.
// One pass over the calibration set; plans for every budget follow from it without another.
#include "importance/score.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>

#include "cli/options.h"
#include "core/file.h"
#include "core/interrupt.h"
#include "core/units.h"
#include "engine/model_gradient.h"
#include "importance/imatrix.h"
#include "importance/judge.h"
#include "importance/weight_scores.h"
#include "model/tokenizer.h"
#include "pipeline/choose/costs.h"
#include "pipeline/report/scores_csv.h"
#include "pipeline/round/options.h"

namespace strata::cli {
namespace {

struct Options {
  std::string model, output, imatrix, target = "vllm", prior;
  std::vector<std::string> signals, codecs, kl_codecs = {"int4_g64", "nvfp4", "int8_channel"};
  std::size_t kl_tokens = 512;
  kernel::Precision precision = kernel::Precision::f32;
  codec::ScaleFit scale_fit = codec::ScaleFit::search;
  importance::Combine combine = importance::Combine::mean;
  bool judge = false, show_calibration = false;
  importance::CalibrationRequest calibration;
};

void show(const importance::Scores& scores) {
  std::vector<std::vector<std::string>> rows = {{"block"}};
  for (const auto& [name, signal] : scores.blocks) rows[0].push_back(name);
  if (rows[0].size() == 1) return;
  const std::size_t blocks = scores.blocks.begin()->second.values.size();
  for (std::size_t b = 0; b < blocks; ++b) {
    rows.push_back({fmt::format("{}", b)});
    for (const auto& [name, signal] : scores.blocks) rows.back().push_back(fmt::format("{:.5f}", signal.values[b]));
  }
  fmt::print("{}", table(rows));
}

/// Prints how far the order of each signal can be trusted: between the halves of the text, and between texts.
void show_ranking(const importance::Scores& scores) {
  if (scores.stability.empty()) return;
  fmt::print("rank correlation between the halves of {} calibration text{}\n", scores.sets.empty() ? "the" : "each",
             scores.sets.empty() ? "" : ", and between the texts");
  std::vector<std::vector<std::string>> rows = {{"signal", "halves"}};
  for (std::size_t i = 0; i < scores.sets.size(); ++i)
    for (std::size_t j = i + 1; j < scores.sets.size(); ++j) rows[0].push_back(fmt::format("{} / {}", i + 1, j + 1));
  for (const auto& [name, halves] : scores.stability) {
    rows.push_back({name, fmt::format("{:.3f}", halves)});
    for (std::size_t i = 0; i < scores.sets.size(); ++i)
      for (std::size_t j = i + 1; j < scores.sets.size(); ++j)
        rows.back().push_back(
            fmt::format("{:.3f}", importance::rank_agreement(scores.sets[i], scores.sets[j]).at(name)));
  }
  fmt::print("{}", table(rows));
}

/// Prints a row for every signal: for each measured codec its rank correlation with kl and how much of kl's top quarter
/// it finds, then how stable the signal is and how long it took.
void show_judgement(const importance::ScoreResult& result, const model::Architecture& a) {
  fmt::print("signals against kl: rank correlation, and how much of its top quarter they find\n");
  std::vector<std::vector<std::string>> rows = {{"signal", "of"}};
  std::map<std::string, std::vector<std::string>> cells;
  const auto codecs = importance::judged_codecs(result.scores);
  for (const codec::Codec* codec : codecs) {
    rows[0].insert(rows[0].end(), {codec->name, "top"});
    for (const importance::Judgement& j : importance::judge(result.scores, a, *codec)) {
      if (codec == codecs.front()) rows.push_back({j.signal, std::string(j.level)});
      cells[j.signal].insert(cells[j.signal].end(),
                             {fmt::format("{:.3f}", j.spearman), fmt::format("{:.0f} %", 100 * j.top_quarter)});
    }
  }
  rows[0].insert(rows[0].end(), {"halves", "seconds"});
  rows.push_back({"kl", "group"});
  for (std::size_t i = 0; i < codecs.size(); ++i) cells["kl"].insert(cells["kl"].end(), {"1.000", "100 %"});
  const auto cell = [](const std::map<std::string, double>& values, const std::string& name, int digits) {
    const auto it = values.find(name);
    return it == values.end() ? std::string("-") : fmt::format("{:.{}f}", it->second, digits);
  };
  for (std::size_t i = 1; i < rows.size(); ++i) {
    const std::string name = rows[i][0];
    rows[i].insert(rows[i].end(), cells[name].begin(), cells[name].end());
    rows[i].insert(rows[i].end(), {cell(result.scores.stability, name, 3), cell(result.seconds, name, 1)});
  }
  fmt::print("{}", table(rows));
}

json judgement_json(const importance::ScoreResult& result, const model::Architecture& a) {
  json codecs = json::array();
  for (const codec::Codec* codec : importance::judged_codecs(result.scores)) {
    json rows = json::array();
    for (const importance::Judgement& j : importance::judge(result.scores, a, *codec))
      rows.push_back({{"signal", j.signal}, {"of", j.level}, {"spearman", j.spearman}, {"top_quarter", j.top_quarter}});
    codecs.push_back({{"codec", codec->name}, {"signals", std::move(rows)}});
  }
  return {{"codecs", std::move(codecs)}, {"seconds", result.seconds}};
}

importance::ScoreRequest request_of(const Options& options) {
  importance::ScoreRequest request;
  request.codecs = pipeline::allowed_codecs(pipeline::target_by_name(options.target), options.codecs).codecs;
  bool all = false;
  for (const std::string& name : options.signals) {
    all = all || name == "all";
    if (name == "alpha")  // alpha is measured for every kind of grid among the codecs
      for (const importance::Signal* signal : pipeline::price_signals(request.codecs))
        request.signals.push_back(signal);
    else if (name != "all")
      request.signals.push_back(&importance::signal_by_name(name));
  }
  if (options.judge) {
    all = all || request.signals.empty();
    request.signals.push_back(&importance::signal_by_name("kl"));
  }
  for (const importance::Signal& signal : importance::signals())
    if (all && concerns(signal, request.codecs)) request.signals.push_back(&signal);
  request.fit = options.scale_fit;
  for (const std::string& name : options.kl_codecs) request.measure.codecs.push_back(&codec::by_name(name));
  request.measure.tokens = options.kl_tokens;
  request.measure.journal = options.output + ".journal";
  if (!options.prior.empty())
    request.prior = importance::Prior::from_json(read_json_file(options.prior), options.prior);
  return request;
}

/// Scores, and says how work resumes that Ctrl-C has stopped.
importance::ScoreResult score_sets(engine::Engine& engine, std::span<const importance::CalibrationSet> sets,
                                   importance::ScoreRequest request, importance::Combine how) {
  request.measure.announce = [](const std::string& label, std::size_t units, double seconds) {
    if (seconds > 2) remark("{}: {} measurements, about {} in all\n", label, units, human_seconds(seconds));
  };
  request.resumed = [&](std::size_t blocks) {
    remark("resuming: {} of {} blocks were scored before\n", blocks, engine.architecture().blocks);
  };
  try {
    return importance::score(engine, sets, request, how);
  } catch (const Interrupted&) {
    const auto kept = importance::kept_files(request.measure, sets.size());
    if (!kept.empty()) remark("what is done is kept in {}; the same command resumes there\n", kept.front().string());
    throw;
  }
}

void write(const importance::Scores& scores, const Options& options, const model::Model& model) {
  if (options.output.ends_with(".csv"))
    write_text_file(options.output, pipeline::scores_csv(scores, model.architecture()));
  else
    write_json_file(options.output, scores.to_json());
}

/// Scores a model that cannot be run, which takes signals of weights alone.
void run_on_weights(const model::Model& model, const importance::ScoreRequest& request, const Options& options,
                    const Common& common) {
  const bool possible = !request.signals.empty() && std::ranges::all_of(request.signals, [](const auto* signal) {
    return signal->of_block != nullptr;
  });
  if (!possible)
    fail("{}: {}; score --signals {} reads weights alone", model.path().string(), model.architecture().why_not_runnable,
         importance::weight_signals());
  const importance::Scores scores = importance::score_weights(model, request.signals);
  write(scores, options, model);
  print_json(common, scores.to_json());
  if (common.json_output) return;
  show(scores);
  fmt::print("{}: of weights alone; {} was not run\n", options.output, model.path().string());
}

/// Says which of the signals that were asked for a model cannot have.
void say_left_out(const importance::ScoreRequest& request, const model::Model& model) {
  const std::string why = engine::why_no_gradient(model.architecture());
  for (const importance::Signal* signal : request.signals)
    if (signal->needs_gradients && !why.empty())
      remark("{} is left out: it needs gradients, which this model has not here: {}\n", signal->name, why);
}

void run(const Options& options, const Common& common) {
  const auto begin = std::chrono::steady_clock::now();
  const importance::ScoreRequest request = request_of(options);
  const model::Model model = model::Model::open(options.model, pipeline::target_by_name(options.target).fusion());
  if (!model.architecture().why_not_runnable.empty()) return run_on_weights(model, request, options, common);
  const auto tokenizer = model::Tokenizer::of(model);
  engine::Engine engine(model, options.precision);
  const auto sets = importance::make_calibrations(engine, tokenizer, options.calibration);
  if (sets.size() > 1 && !options.imatrix.empty())
    fail_usage("--imatrix-out is of one calibration text; give --calib once");
  if (options.show_calibration)
    for (const importance::CalibrationSet& set : sets) show_calibration(set, tokenizer);
  say_left_out(request, model);
  const importance::ScoreResult result = score_sets(engine, sets, request, options.combine);
  const importance::Scores& scores = result.scores;
  json value = scores.to_json();
  write(scores, options, model);
  if (!options.imatrix.empty()) importance::write_imatrix(options.imatrix, model, result.inputs, scores.calibration);
  importance::remove_kept(request.measure, sets.size());
  if (options.judge) value["judge"] = judgement_json(result, model.architecture());
  print_json(common, value);
  if (common.json_output) return;
  show(scores);
  show_ranking(scores);
  if (options.judge) show_judgement(result, model.architecture());
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  fmt::print("{} on {} in {:.1f} s\n", options.output, scores.calibration.text(), seconds);
}

std::function<void()> setup(CommandLine& line, const Common& common) {
  auto options = std::make_shared<Options>();
  std::vector<std::string> known;
  for (const importance::Signal& signal : importance::signals())
    known.push_back(std::string(signal.name) + (signal.costly ? " (costly)" : ""));
  line.option({.name = "MODEL", .help = "Hugging Face folder or GGUF file", .required = true}, options->model);
  line.option({.name = "--output",
               .help = "File to write: JSON for plan and quantize, or a table when its name ends in .csv",
               .letter = "-o",
               .required = true},
              options->output);
  line.option({.name = "--imatrix-out",
               .help = "Also write the inputs' mean squares as an importance matrix for llama-quantize",
               .example = "m.gguf"},
              options->imatrix);
  line.comma_list({.name = "--signals",
                   .help = fmt::format("Signals, or all (default: all that are not costly); alpha stands for all its "
                                       "kinds that price the codecs. docs/signals.md explains them: {}",
                                       fmt::join(known, ", ")),
                   .example = "lim,zd"},
                  options->signals);
  pipeline::declare_target(options->target, line);
  line.comma_list({.name = "--codecs", .help = "Codecs to score (default: all of the target)", .example = "int4_g64"},
                  options->codecs);
  line.comma_list({.name = "--kl-codecs",
                   .help = "Codecs that kl measures; costs of others follow from these",
                   .example = "int4_g64"},
                  options->kl_codecs);
  line.option({.name = "--kl-tokens",
               .help = "Calibration tokens that kl measures on",
               .example = "1024",
               .least = 2,
               .most = 1 << 20},
              options->kl_tokens);
  line.choice({.name = "--combine", .help = "How the values of several --calib texts become one"}, options->combine,
              {{"mean", importance::Combine::mean}, {"max", importance::Combine::max}});
  line.option({.name = "--prior", .help = "Rules of the signal prior, in place of the literature's (docs/files.md)"},
              options->prior);
  line.flag({.name = "--judge", .help = "Measure kl too, and show how well every signal agrees with it"},
            options->judge);
  pipeline::declare_scale_fit(options->scale_fit, line);
  declare_precision(line, options->precision);
  visit(options->calibration, line);
  declare_show_calibration(line, options->show_calibration);
  return [options, &common] { run(*options, common); };
}

}  // namespace

extern const Verb score_verb = {
    "score", "Measure the importance of every block and linear",
    "  strata score MODEL -o scores.json\n"
    "  strata score MODEL -o scores.json --calib wiki.txt --samples 64 --seq-len 512\n"
    "  strata score MODEL -o scores.json --calib wiki.txt --calib code.txt    # each by itself, then combined\n"
    "  strata score MODEL -o scores.json --for llama.cpp\n"
    "  strata score MODEL -o scores.csv                    # a table for a spreadsheet\n"
    "  strata score MODEL -o scores.json --signals lim,zd --imatrix-out imatrix.gguf\n"
    "  strata score MODEL -o scores.json --judge          # may be stopped: the same command resumes\n",
    setup};

}  // namespace strata::cli
