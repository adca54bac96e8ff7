// strata plan: turns a budget into a codec for every group, in milliseconds, from scores made before.
// The plan is a file that a person can read and change.
#include <memory>

#include "cli/options.h"
#include "core/file.h"
#include "pipeline/job/planning.h"
#include "pipeline/report/plan_difference.h"

namespace strata::cli {
namespace {

struct Options {
  pipeline::PlanningRequest request;
  std::vector<std::string> compared;
};

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
  const model::Model model =
      model::Model::open_headers(options.request.model, pipeline::target_by_name(options.request.target).fusion());
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
  const pipeline::PlanningRequest& request = options.request;
  const pipeline::Planned planned = pipeline::plan(request);
  json value = planned.result.plan.to_json();
  if (request.explain) value["explanation"] = pipeline::to_json(planned.explanations);
  print_json(common, value);
  if (common.json_output) return;
  show_plan(planned.result, planned.model);
  if (request.explain) show_explanation(planned.explanations);
  if (!request.output.empty())
    fmt::print("{}: use it with strata quantize {} --plan {} -o OUT\n", request.output, request.model.string(),
               request.output);
}

std::function<void()> setup(CommandLine& line, const Common& common) {
  auto options = std::make_shared<Options>();
  line.list({.name = "--diff",
             .help = "Show what sets two plan files of this model apart, in place of making a plan",
             .example = "a.json b.json"},
            options->compared);
  visit(options->request, line);
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
