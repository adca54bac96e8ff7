// strata plan: turns a budget into a codec for every group, in milliseconds, from scores made before.
// The plan is a file that a person can read and change.
#include <memory>

#include "cli/options.h"
#include "pipeline/choose/explain.h"
#include "pipeline/choose/options.h"
#include "pipeline/choose/presets.h"
#include "pipeline/job/methods.h"
#include "pipeline/report/plan_difference.h"

namespace strata::cli {
namespace {

struct Options {
  std::filesystem::path model, scores;
  std::string output, method = "rtn", target = "vllm";
  std::vector<std::string> compared;
  bool explain = false;
  pipeline::PlanRequest request;
  pipeline::SearchRequest search;
  importance::CalibrationRequest calibration;
};

pipeline::Costs costs_for(const Options& options, const model::Model& model) {
  if (options.scores.empty()) return {};
  return pipeline::costs_of(
      importance::Scores::from_json(read_json_file(options.scores), model, options.scores.string()),
      model.architecture(), pipeline::method_by_name(options.method).pricing);
}

std::string change(const std::optional<pipeline::Neighbour>& n) {
  return n ? fmt::format("{} {:+.1f} KiB {:+.2e}", n->codec->name, static_cast<double>(n->bytes) / 1024, n->cost) : "-";
}

void show_explanation(const std::vector<pipeline::Explanation>& explanations) {
  std::vector<std::vector<std::string>> rows = {{"group", "codec", "KiB", "cost", "next better", "next worse"}};
  for (const pipeline::Explanation& e : explanations)
    rows.push_back({e.group, e.codec->name + (e.pinned ? " (pinned)" : ""),
                    fmt::format("{:.1f}", static_cast<double>(e.bytes) / 1024), fmt::format("{:.2e}", e.cost),
                    change(e.better), change(e.worse)});
  fmt::print("{}", table(rows));
}

/// What the second of two plan files changes.
void show_difference(const Options& options, const Common& common) {
  if (options.compared.size() != 2) fail_usage("--diff: give two plan files");
  const model::Model model = model::Model::open(options.model, pipeline::target_by_name(options.target).fusion());
  const auto read = [&](const std::string& file) {
    return pipeline::Plan::from_json(read_json_file(file), model, file);
  };
  const pipeline::PlanDifference difference =
      pipeline::difference(read(options.compared[0]), read(options.compared[1]));
  print_json(common, difference.to_json());
  if (common.json_output) return;
  fmt::print("{}", table(difference.rows()));
}

void run(const Options& options, const Common& common) {
  if (!options.compared.empty()) return show_difference(options, common);
  pipeline::PlanRequest request = options.request;
  request.method = options.method;
  if (std::holds_alternative<pipeline::KlBudget>(request.budget))
    fail_usage("--max-kl measures plans, which takes the model: use strata quantize --max-kl --dry-run");
  check_options(request);
  check_options(options.search, request);
  if (options.scores.empty() && pipeline::preset_named(request.preset).reads_scores())
    fail_usage("preset {} needs --scores FILE; make it with: strata score {} --for {} -o scores.json", request.preset,
               options.model.string(), options.target);
  const pipeline::Target& target = pipeline::target_by_name(options.target);
  const model::Model model = model::Model::open(options.model, target.fusion());
  const pipeline::Costs costs = costs_for(options, model);
  const pipeline::Problem problem(model, target, request, costs);
  const pipeline::SearchOptions search = search_of(options.search, model.architecture());
  const pipeline::PlanResult result = search.steps == 0
                                          ? pipeline::make_plan(problem)
                                          : pipeline::search_on_calibration(problem, options.calibration, search);
  json value = result.plan.to_json();
  if (!options.output.empty()) write_json_file(options.output, value);
  std::vector<pipeline::Explanation> explanations;
  if (options.explain) {
    explanations = pipeline::explain(result.plan, problem);
    value["explanation"] = pipeline::to_json(explanations);
  }
  print_json(common, value);
  if (common.json_output) return;
  show_plan(result, model);
  if (options.explain) show_explanation(explanations);
  if (!options.output.empty())
    fmt::print("{}: use it with strata quantize {} --plan {} -o OUT\n", options.output, options.model.string(),
               options.output);
}

std::function<void()> setup(CommandLine& line, const Common& common) {
  auto options = std::make_shared<Options>();
  line.option({.name = "MODEL", .help = "Hugging Face folder or GGUF file", .required = true}, options->model);
  line.option({.name = "--scores", .help = "scores.json of this model, for presets that spend bytes by them"},
              options->scores);
  line.option({.name = "--output", .help = "Plan file to write", .letter = "-o"}, options->output);
  line.list({.name = "--diff",
             .help = "Show what sets two plan files of this model apart, in place of making a plan",
             .example = "a.json b.json"},
            options->compared);
  line.flag({.name = "--explain",
             .help = "For every group the next better and next worse choice, and the bytes and cost that it would "
                     "change"},
            options->explain);
  pipeline::declare_target(options->target, line);
  line.option({.name = "--method",
               .help = "How the weights will be rounded, which changes what codecs cost",
               .values = pipeline::method_names()},
              options->method);
  visit(options->request, line);
  visit(options->search, line);
  visit(options->calibration, line);
  return [options, &common] { run(*options, common); };
}

}  // namespace

extern const Verb plan_verb = {"plan", "Choose a codec for every group of linears within a budget",
                               "  strata plan MODEL --scores scores.json --bits 4.5 -o plan.json\n"
                               "  strata plan MODEL --scores scores.json --size 90MiB --for transformers\n"
                               "  strata plan MODEL --scores scores.json --preset lwq --high int4_g64 --low int2_g32 "
                               "--n-high 20 --for transformers\n"
                               "  strata plan MODEL --preset prior --bits 4.5 --explain\n"
                               "  strata plan MODEL --scores scores.json --bits 4.5 --search-steps 200 -o plan.json\n"
                               "  strata plan MODEL --for llama.cpp --preset stock --like Q4_K_M\n"
                               "  strata plan MODEL --diff a.json b.json\n",
                               setup};

}  // namespace strata::cli
