// strata plan: a budget becomes a codec for every group, in milliseconds, from scores made before.
// The plan is a file that a person can read and change.
#include <memory>

#include "cli/options.h"
#include "pipeline/choose/explain.h"
#include "pipeline/choose/presets.h"
#include "pipeline/choose/prior_costs.h"
#include "pipeline/job/methods.h"

namespace strata::cli {
namespace {

struct Options {
  std::string model, scores, output, method = "rtn";
  bool explain = false;
  PlanOptions plan;
  CalibrationOptions calibration;
};

pipeline::Costs costs_for(const Options& options, const pipeline::PlanRequest& request, const model::Model& model) {
  const pipeline::Preset& preset = pipeline::preset_named(request.preset);
  if (preset.follows_rules) return pipeline::prior_costs(pipeline::prior_of(request), model.architecture());
  if (!options.scores.empty())
    return pipeline::costs_of(importance::Scores::from_json(read_json_file(options.scores), model, options.scores),
                              model.architecture(), pipeline::pricing_of(pipeline::method_named(request.method)));
  if (preset.needs == pipeline::Needs::linear_costs || preset.needs == pipeline::Needs::block_signals)
    fail_usage("preset {} needs --scores FILE; make it with: strata score {} -o scores.json", request.preset,
               options.model);
  return {};
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

void run(const Options& options, const Common& common) {
  pipeline::PlanRequest request = request_of(options.plan);
  request.method = options.method;
  if (std::holds_alternative<pipeline::KlBudget>(request.budget))
    fail_usage("--max-kl measures plans, which takes the model: use strata quantize --max-kl --dry-run");
  const pipeline::Target& target = pipeline::target_by_name(options.plan.target);
  const model::Model model = model::Model::open(options.model, target.fusion());
  const pipeline::SearchOptions search = search_of(options.plan, model.architecture());
  const pipeline::Problem problem(model, target, request, costs_for(options, request, model));
  const pipeline::PlanResult result =
      search.steps == 0 ? pipeline::make_plan(problem)
                        : pipeline::search_on_calibration(problem, request_of(options.calibration, common), search);
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
}

std::function<void()> setup(CLI::App& app, const Common& common) {
  auto options = std::make_shared<Options>();
  app.add_option("MODEL", options->model, "Hugging Face folder or GGUF file")->required();
  app.add_option("--scores", options->scores, "scores.json of this model (presets best, lwq, three-tier)");
  app.add_option("-o,--output", options->output, "Plan file to write");
  app.add_flag("--explain", options->explain,
               "For every group the next better and next worse choice, and the bytes and cost that it would change");
  app.add_option("--method", options->method, "How the weights will be rounded, which changes what codecs cost")
      ->capture_default_str()
      ->check(CLI::IsMember(pipeline::kMethodNames));
  add_options(app, options->plan);
  add_options(app, options->calibration);
  return [options, &common] { run(*options, common); };
}

}  // namespace

extern const Verb plan_verb = {"plan", "Choose a codec for every group of linears within a budget",
                               "  strata plan MODEL --scores scores.json --bits 4.5 -o plan.json\n"
                               "  strata plan MODEL --scores scores.json --size 90MiB --for transformers\n"
                               "  strata plan MODEL --scores scores.json --preset lwq --high int4_g64 --low int2_g32 "
                               "--n-high 20 --for transformers\n"
                               "  strata plan MODEL --preset prior --bits 4.5 --explain\n"
                               "  strata plan MODEL --scores scores.json --bits 4.5 --search-steps 200 -o plan.json\n",
                               setup};

}  // namespace strata::cli
