// strata plan: a budget becomes a codec for every group, in milliseconds, from scores made before.
// The plan is a file that a person can read and change.
#include <memory>

#include "cli/options.h"

namespace strata::cli {
namespace {

struct Options {
  std::string model, scores, output;
  PlanOptions plan;
};

void run(const Options& options, const Common& common) {
  const pipeline::PlanRequest request = request_of(options.plan);
  if (request.max_kl)
    fail_usage("--max-kl measures plans, which takes the model: use strata quantize --max-kl --dry-run");
  const pipeline::Target& target = pipeline::target_by_name(options.plan.target);
  const model::Model model = model::Model::open(options.model, target.fusion());
  pipeline::Costs costs;
  if (!options.scores.empty()) {
    const auto scores = importance::Scores::from_json(read_json_file(options.scores), model, options.scores);
    costs = pipeline::costs_of(scores, model.architecture());
  } else if (pipeline::needs_linear_costs(request) || pipeline::needs_block_signals(request)) {
    fail_usage("preset {} needs --scores FILE; make it with: strata score {} -o scores.json", request.preset,
               options.model);
  }
  const pipeline::PlanResult result = pipeline::make_plan(model, target, request, costs);
  const json value = result.plan.to_json();
  if (!options.output.empty()) write_json_file(options.output, value);
  print_json(common, value);
  if (!common.json_output) show_plan(result, model);
}

std::function<void()> setup(CLI::App& app, const Common& common) {
  auto options = std::make_shared<Options>();
  app.add_option("MODEL", options->model, "Hugging Face folder or GGUF file")->required();
  app.add_option("--scores", options->scores, "scores.json of this model (presets best, lwq, three-tier)");
  app.add_option("-o,--output", options->output, "Plan file to write");
  add_options(app, options->plan);
  return [options, &common] { run(*options, common); };
}

}  // namespace

extern const Verb plan_verb = {"plan", "Choose a codec for every group of linears within a budget",
                               "  strata plan MODEL --scores scores.json --bits 4.5 -o plan.json\n"
                               "  strata plan MODEL --scores scores.json --size 90MiB --for transformers\n"
                               "  strata plan MODEL --scores scores.json --preset lwq --high int4_g64 --low int2_g32 "
                               "--n-high 20 --for transformers\n",
                               setup};

}  // namespace strata::cli
