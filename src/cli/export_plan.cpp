// strata export-plan: a plan as a recipe for llm-compressor, AutoRound, GPTQModel or llama-quantize.
// With --model the plan is checked against its model first.
#include "pipeline/plan/export_plan.h"

#include <algorithm>
#include <memory>

#include "cli/verb.h"
#include "core/file.h"
#include "model/model.h"
#include "pipeline/plan/plan.h"
#include "pipeline/plan/target.h"

namespace strata::cli {
namespace {

struct Options {
  std::string plan, tool, output, model;
};

/// How the runtime that the plan is for groups linears; a file that is no plan is told apart where it is read.
model::Fusion fusion_of(const json& plan, const std::string& where) {
  const std::string name = plan.is_object() ? get_or<std::string>(plan, "target", "", where) : "";
  const auto target = std::ranges::find(pipeline::targets(), name, &pipeline::Target::name);
  return target == pipeline::targets().end() ? model::Fusion::fused : target->fusion();
}

void run(const Options& options, const Common& common) {
  const pipeline::Exporter& exporter = pipeline::exporter_by_name(options.tool);
  const json value = read_json_file(options.plan);
  if (!options.model.empty()) {
    const model::Model model = model::Model::open(options.model, fusion_of(value, options.plan));
    pipeline::Plan::from_json(value, model, options.plan);
  }
  const std::string recipe = pipeline::export_plan(pipeline::ExportedPlan::from_json(value, options.plan), exporter);
  if (options.output.empty()) {
    fmt::print("{}", recipe);
    return;
  }
  write_text_file(options.output, recipe);
  print_json(common, {{"output", options.output}, {"tool", exporter.name}, {"use", exporter.usage}});
  const bool json_as_yaml = recipe.starts_with('{') && !options.output.ends_with(".json");
  print(common, "{}: a recipe for {}{}; use it as {}\n", options.output, exporter.name,
        json_as_yaml ? " (JSON, which is YAML too)" : "", exporter.usage);
}

std::function<void()> setup(CommandLine& line, const Common& common) {
  auto options = std::make_shared<Options>();
  std::vector<std::string> tools;
  for (const pipeline::Exporter& exporter : pipeline::exporters()) tools.emplace_back(exporter.name);
  line.option({.name = "PLAN", .help = "plan.json, as strata plan writes it", .required = true}, options->plan);
  line.option({.name = "--to", .help = "The tool that reads the recipe", .values = tools, .required = true},
              options->tool);
  line.option({.name = "--output", .help = "File to write (default: standard output)", .letter = "-o"},
              options->output);
  line.option({.name = "--model", .help = "Check the plan against this model first"}, options->model);
  return [options, &common] { run(*options, common); };
}

}  // namespace

extern const Verb export_plan_verb = {"export-plan", "Write a plan as a recipe for another quantizer",
                                      "  strata export-plan plan.json --to llm-compressor -o recipe.yaml\n"
                                      "  strata export-plan plan.json --to llama-quantize -o types.txt\n",
                                      setup};

}  // namespace strata::cli
