// strata sweep: the paper's experiments on one model, as curves, a table and a verdict on each claim.
// The same command resumes a sweep that was stopped anywhere.
#include "pipeline/measure/sweep.h"

#include <chrono>
#include <filesystem>
#include <memory>

#include "cli/options.h"
#include "core/file.h"
#include "core/journal.h"
#include "core/seconds.h"
#include "hub/model_argument.h"
#include "kernel/dispatch.h"
#include "model/tokenizer.h"
#include "pipeline/job/precision.h"
#include "pipeline/report/data.h"

namespace strata::cli {
namespace {

struct Options {
  std::string model, output, high = "int8_channel", low = "int4_g64", text;
  std::size_t tokens = 1024, step = 0, random_orders = 5;
  bool claims = false, no_report = false;
  bool show_calibration = false;
  kernel::Precision precision = kernel::Precision::f32;
  importance::CalibrationRequest calibration;
};

void show_curves(const pipeline::SweepResult& result) {
  fmt::print("lowering blocks from {} to {}, measured on {} tokens; original perplexity {:.3f}\n", result.high,
             result.low, result.tokens, result.perplexity);
  std::vector<std::vector<std::string>> rows = {{"lowered"}};
  for (const pipeline::SweepPoint& p : result.curves[0].points) rows[0].push_back(fmt::format("{}", p.lowered));
  rows[0].insert(rows[0].end(), {"mean KL", "10 %", "50 %"});
  const double all = result.curves[0].points.back().kl;
  for (const pipeline::SweepCurve& curve : result.curves) {
    rows.push_back({curve.order});
    for (const pipeline::SweepPoint& p : curve.points) rows.back().push_back(fmt::format("{:.3f}", p.kl));
    rows.back().push_back(fmt::format("{:.4f}", curve.mean_kl()));
    for (const double share : {0.1, 0.5})
      rows.back().push_back(fmt::format("{:.0f} %", 100 * curve.share_at(share, all)));
  }
  fmt::print(
      "{}KL in nats; the last two columns: share of the blocks at which a tenth and a half of the whole loss is "
      "reached\n",
      table(rows));
  if (result.plans.empty()) return;
  rows = {{"plan", "bits", "KL", "perplexity", "GB read a token"}};
  for (const pipeline::SweepPlan& plan : result.plans)
    rows.push_back({plan.name, fmt::format("{:.3f}", plan.bits),
                    fmt::format("{:.5f} +- {:.5f}", plan.kl, plan.kl_standard_error),
                    fmt::format("{:.3f}", plan.perplexity), fmt::format("{:.4f}", plan.gigabytes_per_token)});
  fmt::print("{}", table(rows));
  for (const std::string& note : result.notes) fmt::print("{}\n", note);
}

void show_claims(const pipeline::SweepResult& result) {
  for (const pipeline::Claim& claim : pipeline::check_claims(result))
    fmt::print("{}  {}\n     {}\n", claim.holds ? "yes" : "no ", claim.claim, claim.figures);
}

importance::CalibrationSet text_of(engine::Engine& engine, const model::Tokenizer& tokenizer, const Options& options) {
  importance::CalibrationRequest request = options.calibration;
  request.texts.clear();
  if (!options.text.empty()) request.texts = {{options.text}};
  request.samples = (options.tokens + request.size().seq_len - 1) / request.size().seq_len;
  request.seed += 0x73776565;  // with any other seed the model writes text that the calibration did not see
  return importance::make_calibration(engine, tokenizer, request);
}

/// The file of the measurements, in a folder that is made.
std::filesystem::path make_journal(const std::filesystem::path& folder) {
  std::error_code code;
  std::filesystem::create_directories(folder, code);
  if (!std::filesystem::is_directory(folder, code)) fail("{}: cannot be made: {}", folder.string(), code.message());
  return folder / "sweep.journal";
}

void run(const Options& options, const Common& common) {
  const auto begin = std::chrono::steady_clock::now();
  const WorkingTogether together;
  const Ranks ranks = ranks_at_work();
  kernel::keep_variant(ranks);
  const model::Model model = model::Model::open(options.model);
  model.require_runnable();
  const auto tokenizer = model::Tokenizer::of(model);
  pipeline::SweepRequest request{&codec::by_name(options.high), &codec::by_name(options.low)};
  request.tokens = options.tokens;
  request.step = options.step;
  request.random_orders = options.random_orders;
  const std::filesystem::path folder = options.output;
  if (ranks.is_first()) request.journal = make_journal(folder);

  engine::Engine engine(model, options.precision), writer(model, kernel::Precision::bf16);
  importance::CalibrationSet calibration, text;
  if (ranks.is_first()) {
    calibration = importance::make_calibration(writer, tokenizer, options.calibration);
    text = text_of(writer, tokenizer, options);
  }
  importance::share(ranks, calibration);
  importance::share(ranks, text);
  if (options.show_calibration) show_calibration(calibration, tokenizer);
  const pipeline::SweepResult result = pipeline::sweep(engine, calibration, text, request);
  if (!ranks.is_first()) return;
  json value = result.to_json();
  value["model"] = {{"path", options.model}, {"fingerprint", model.fingerprint()}};
  value["precision"] = pipeline::precision_name(options.precision);
  value["text"] = text.source.to_json();
  value["calibration"] = calibration.source.to_json();
  write_json_file(folder / "sweep.json", value);
  write_text_file(folder / "sweep.csv", result.to_csv());
  Journal::remove(request.journal);
  if (!options.no_report) {
    pipeline::ReportData report;
    report.set_model(model);
    report.set_sweep(value, options.output, common.command);
    pipeline::write_report(report, {}, folder / "report.html");
  }
  print_json(common, value);
  if (common.json_output) return;
  if (!options.claims) show_curves(result);
  show_claims(result);
  const double seconds = seconds_since(begin);
  fmt::print("{}/sweep.json, sweep.csv in {:.0f} s\n", options.output, seconds);
}

std::function<void()> setup(CommandLine& line, const Common& common) {
  auto options = std::make_shared<Options>();
  line.option({.name = "MODEL", .help = hub::kModelArgument, .required = true}, options->model);
  line.option({.name = "--output", .help = "Folder for sweep.json and sweep.csv", .letter = "-o", .required = true},
              options->output);
  line.option({.name = "--high", .help = "Codec of the blocks that are not lowered; keep stands for the original"},
              options->high);
  line.option({.name = "--low", .help = "Codec of the blocks that are lowered"}, options->low);
  line.option({.name = "--text", .help = "Measure on this text (default: text that the model writes itself)"},
              options->text);
  line.option({.name = "--tokens",
               .help = "Tokens that every point is measured on",
               .example = "2048",
               .least = 2,
               .most = 1 << 20},
              options->tokens);
  line.option({.name = "--step", .help = "Blocks between two points of a curve; 0: about 15 points", .example = "2"},
              options->step);
  line.option({.name = "--random", .help = "Random orders, seeds 0 up to this number", .example = "2", .most = 100},
              options->random_orders);
  line.flag({.name = "--no-report", .help = "Do not write report.html into the folder"}, options->no_report);
  line.flag({.name = "--claims", .help = "Print only whether each claim of the literature holds here"},
            options->claims);
  pipeline::declare_precision(options->precision, line);
  visit(options->calibration, line);
  declare_show_calibration(line, options->show_calibration);
  return [options, &common] { run(*options, common); };
}

}  // namespace

extern const Verb sweep_verb = {
    "sweep", "Lower blocks in every order and measure what it costs",
    "  strata sweep MODEL -o sweep\n"
    "  strata sweep MODEL -o sweep --high int4_g64 --low int2_g32 --text wiki.test.raw\n"
    "  strata sweep MODEL -o sweep --claims            # stopped anywhere, the same command goes on\n",
    setup, RunBy::all_ranks};

}  // namespace strata::cli
