// strata score: the importance of every block and linear, into scores.json.
// One pass over the calibration set; plans for every budget follow from it without another.
#include <chrono>
#include <memory>

#include "cli/options.h"
#include "model/tokenizer.h"

namespace strata::cli {
namespace {

struct Options {
  std::string model, output, signals, target = "transformers", codecs, precision = "f32", scale = "search";
  CalibrationOptions calibration;
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

void run(const Options& options, const Common& common) {
  const auto begin = std::chrono::steady_clock::now();
  importance::ScoreRequest request;
  for (const std::string& name : split_list(options.signals))
    if (name != "all") request.signals.push_back(&importance::signal_by_name(name));
  const auto codec_names = split_list(options.codecs);
  request.codecs = pipeline::allowed_codecs(pipeline::target_by_name(options.target), codec_names).codecs;
  request.fit = options.scale == "minmax" ? codec::ScaleFit::minmax : codec::ScaleFit::search;

  const model::Model model = model::Model::open(options.model);
  const auto tokenizer = model::Tokenizer::from_files(model::tokenizer_files(model), options.model);
  engine::Engine engine(model, options.precision == "bf16" ? kernel::Precision::bf16 : kernel::Precision::f32);
  const auto set = pipeline::make_calibration(engine, tokenizer, request_of(options.calibration, common));
  if (options.calibration.show) show_calibration(set, tokenizer);
  const importance::Scores scores = importance::score(engine, set, request).scores;
  const json value = scores.to_json();
  write_json_file(options.output, value);
  print_json(common, value);
  if (common.json_output) return;
  show(scores);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  fmt::print("{} on {} in {:.1f} s\n", options.output, scores.calibration.text(), seconds);
}

std::function<void()> setup(CLI::App& app, const Common& common) {
  auto options = std::make_shared<Options>();
  std::string known;
  for (const importance::Signal& signal : importance::signals())
    known += (known.empty() ? "" : ",") + std::string(signal.name);
  app.add_option("MODEL", options->model, "Hugging Face folder or GGUF file")->required();
  app.add_option("-o,--output", options->output, "File to write")->required();
  app.add_option("--signals", options->signals, "Signals, separated by commas (default: all): " + known);
  app.add_option("--for", options->target, "Score the codecs that this runtime can load")->capture_default_str();
  app.add_option("--codecs", options->codecs, "Codecs to score, separated by commas (default: all of the target)");
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
    "  strata score MODEL -o scores.json --calib wiki.txt code.txt --samples 64 --seq-len 512\n"
    "  strata score MODEL -o scores.json --signals lim,zd\n",
    setup};

}  // namespace strata::cli
