// strata score: the importance of every block and linear, into scores.json.
// One pass over the calibration set; plans for every budget follow from it without another.
#include <chrono>
#include <map>
#include <memory>

#include "cli/options.h"
#include "core/journal.h"
#include "importance/imatrix.h"
#include "importance/judge.h"
#include "model/tokenizer.h"

namespace strata::cli {
namespace {

struct Options {
  std::string model, output, imatrix, signals, target = "transformers", codecs, precision = "f32", scale = "search";
  std::string kl_codecs = "int4_g64,nvfp4,int8_channel";
  std::size_t kl_tokens = 512;
  std::string combine = "mean", prior;
  bool judge = false;
  CalibrationOptions calibration;
};

std::string human_seconds(double seconds) {
  return seconds < 100 ? fmt::format("{:.0f} s", seconds) : fmt::format("{:.1f} min", seconds / 60);
}

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

/// How far the order of each signal can be trusted: between the halves of the text, and between texts.
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

/// A row for every signal: for each measured codec rank correlation with kl and share of its top quarter, then how
/// stable the signal is and what it took.
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
  const auto codec_names = split_list(options.codecs);
  request.codecs = pipeline::allowed_codecs(pipeline::target_by_name(options.target), codec_names).codecs;
  bool all = false;
  for (const std::string& name : split_list(options.signals)) {
    all = all || name == "all";
    if (name == "alpha")  // of every kind of grid among the codecs
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
  request.fit = options.scale == "minmax" ? codec::ScaleFit::minmax : codec::ScaleFit::search;
  for (const std::string& name : split_list(options.kl_codecs)) request.measure.codecs.push_back(&codec::by_name(name));
  request.measure.tokens = options.kl_tokens;
  request.measure.journal = options.output + ".journal";
  if (!options.prior.empty())
    request.prior = importance::Prior::from_json(read_json_file(options.prior), options.prior);
  return request;
}

void run(const Options& options, const Common& common) {
  const auto begin = std::chrono::steady_clock::now();
  const importance::ScoreRequest request = request_of(options);
  const model::Model model = model::Model::open(options.model, pipeline::target_by_name(options.target).fusion());
  const auto tokenizer = model::Tokenizer::from_files(model::tokenizer_files(model), options.model);
  engine::Engine engine(model, options.precision == "bf16" ? kernel::Precision::bf16 : kernel::Precision::f32);
  importance::ScoreRequest announced = request;
  announced.measure.announce = [](const std::string& label, std::size_t units, double seconds) {
    if (seconds > 2) remark("{}: {} measurements, about {} in all\n", label, units, human_seconds(seconds));
  };
  const auto sets = importance::make_calibrations(engine, tokenizer, request_of(options.calibration, common));
  if (sets.size() > 1 && !options.imatrix.empty())
    fail_usage("--imatrix-out is of one calibration text; give --calib once");
  if (options.calibration.show)
    for (const importance::CalibrationSet& set : sets) show_calibration(set, tokenizer);
  const auto combine = options.combine == "max" ? importance::Combine::max : importance::Combine::mean;
  const importance::ScoreResult result = importance::score(engine, sets, announced, combine);
  const importance::Scores& scores = result.scores;
  json value = scores.to_json();
  write_json_file(options.output, value);
  if (!options.imatrix.empty()) importance::write_imatrix(options.imatrix, model, result.inputs, scores.calibration);
  for (std::size_t i = 0; i < sets.size(); ++i) Journal::remove(importance::journal_of(request.measure, i));
  if (options.judge) value["judge"] = judgement_json(result, model.architecture());
  print_json(common, value);
  if (common.json_output) return;
  show(scores);
  show_ranking(scores);
  if (options.judge) show_judgement(result, model.architecture());
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  fmt::print("{} on {} in {:.1f} s\n", options.output, scores.calibration.text(), seconds);
}

std::function<void()> setup(CLI::App& app, const Common& common) {
  auto options = std::make_shared<Options>();
  std::string known;
  for (const importance::Signal& signal : importance::signals())
    known += (known.empty() ? "" : ",") + std::string(signal.name) + (signal.costly ? " (costly)" : "");
  app.add_option("MODEL", options->model, "Hugging Face folder or GGUF file")->required();
  app.add_option("-o,--output", options->output, "File to write")->required();
  app.add_option("--imatrix-out", options->imatrix,
                 "Also write the inputs' mean squares as an importance matrix for llama-quantize, such as m.gguf");
  app.add_option(
      "--signals", options->signals,
      "Signals, separated by commas, or all (default: all that are not costly); alpha stands for all its kinds "
      "that price the codecs: " +
          known);
  app.add_option("--for", options->target, "Score the codecs that this runtime can load")->capture_default_str();
  app.add_option("--codecs", options->codecs, "Codecs to score, separated by commas (default: all of the target)");
  app.add_option("--kl-codecs", options->kl_codecs, "Codecs that kl measures; costs of others follow from these")
      ->capture_default_str();
  app.add_option("--kl-tokens", options->kl_tokens, "Calibration tokens that kl measures on")
      ->capture_default_str()
      ->check(CLI::Range(2, 1 << 20));
  app.add_option("--combine", options->combine, "How values of several --calib texts become one: mean or max")
      ->capture_default_str()
      ->check(CLI::IsMember({"mean", "max"}));
  app.add_option("--prior", options->prior,
                 "Rules of the signal prior, instead of those of the literature (docs/files.md)");
  app.add_flag("--judge", options->judge, "Measure kl too, and show how well every signal agrees with it");
  app.add_option("--scale", options->scale, "How scales are chosen: search or minmax")
      ->capture_default_str()
      ->check(CLI::IsMember({"search", "minmax"}));
  app.add_option("--precision", options->precision, "f32 or bf16 activations in matrix products")
      ->capture_default_str()
      ->check(CLI::IsMember({"f32", "bf16"}));
  add_options(app, options->calibration);
  return [options, &common] { run(*options, common); };
}

}  // namespace

extern const Verb score_verb = {
    "score", "Measure the importance of every block and linear",
    "  strata score MODEL -o scores.json\n"
    "  strata score MODEL -o scores.json --calib wiki.txt --samples 64 --seq-len 512\n"
    "  strata score MODEL -o scores.json --calib wiki.txt --calib code.txt    # each by itself, then combined\n"
    "  strata score MODEL -o scores.json --signals lim,zd --imatrix-out imatrix.gguf\n"
    "  strata score MODEL -o scores.json --judge          # kl can be stopped: run again to go on\n",
    setup};

}  // namespace strata::cli
