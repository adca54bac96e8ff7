// From a request to a plan of an opened model.
// Everything that needs no model is refused before one is opened.
#include "pipeline/job/planning.h"

#include "core/file.h"
#include "hub/model_argument.h"
#include "importance/smooth_channels.h"
#include "model/tokenizer.h"
#include "pipeline/choose/options.h"
#include "pipeline/choose/presets.h"
#include "pipeline/job/methods.h"

namespace strata::pipeline {
namespace {

void check_request(const PlanningRequest& request) {
  if (std::holds_alternative<KlBudget>(request.plan.budget))
    fail_usage("--max-kl measures plans, which takes the model: use strata quantize --max-kl --dry-run");
  check_options(request.plan);
  check_options(request.search, request.plan);
  if (request.scores.empty() && preset_named(request.plan.preset).reads_scores())
    fail_usage("preset {} needs --scores FILE; make it with: strata score {} --for {} -o scores.json",
               request.plan.preset, request.model.string(), request.target);
}

Costs costs_for(const PlanningRequest& request, const model::Model& model) {
  if (request.scores.empty()) return {};
  return costs_of(importance::Scores::from_json(read_json_file(request.scores), model, request.scores.string()),
                  model.architecture(), method_by_name(request.method).pricing);
}

/// The weights must be there only where a search runs the model, or scores show which weights they are of.
model::Model open(const PlanningRequest& request, const Target& target) {
  const bool by_weights = !request.scores.empty() || request.search.wanted();
  return by_weights ? model::Model::open(request.model, target.fusion())
                    : model::Model::open_headers(request.model, target.fusion());
}

/// The text of a search, and the model becomes the one that its plans are measured on.
importance::CalibrationSet smooth_by_text(const PlanningRequest& request, const Costs& costs, model::Model& model) {
  importance::CalibrationSet text = [&] {
    engine::Engine engine(model, kernel::Precision::bf16);
    return importance::make_calibration(engine, model::Tokenizer::of(model), request.calibration);
  }();
  const double wanted = request.plan.smoothing ? *request.plan.smoothing : costs.smoothing.value_or(0.0);
  if (const double smoothing = possible_smoothing(wanted, model); smoothing != 0.0)
    model = importance::smoothed(model, text, smoothing);
  return text;
}

}  // namespace

void visit(PlanningRequest& r, OptionVisitor& v) {
  v.option({.name = "MODEL", .help = hub::kModelArgument, .required = true}, r.model);
  v.option({.name = "--scores", .help = "scores.json of this model, for presets that spend bytes by them"}, r.scores);
  v.option({.name = "--output", .help = "Plan file to write", .letter = "-o"}, r.output);
  v.flag({.name = "--explain",
          .help = "For every group the next better and next worse choice, and the bytes and cost that it would "
                  "change"},
         r.explain);
  declare_target(r.target, v);
  v.option({.name = "--method",
            .help = "How the weights will be rounded, which changes what codecs cost",
            .values = method_names()},
           r.method);
  visit(r.plan, v);
  visit(r.search, v);
  visit(r.calibration, v);
}

Planned plan(const PlanningRequest& asked) {
  PlanningRequest request = asked;
  request.plan.method = request.method;
  check_request(request);
  const Target& target = target_by_name(request.target);
  check_smoothing(request.plan.smoothing, target);
  Planned planned{open(request, target), {}, {}};
  Costs costs = costs_for(request, planned.model);
  const SearchOptions search = search_of(request.search, planned.model.architecture());
  std::optional<importance::CalibrationSet> text;
  if (search.steps != 0) text = smooth_by_text(request, costs, planned.model);
  const Problem problem(planned.model, target, request.plan, std::move(costs));
  if (text) {
    engine::Engine engine(planned.model, kernel::Precision::bf16);
    planned.result = search_on_set(problem, *text, importance::input_mean_square(engine, *text), search);
  } else {
    planned.result = make_plan(problem);
  }
  if (!planned.model.complete())
    planned.result.notes.push_back(fmt::format("planned by headers: {} ends before its weights, which quantize reads",
                                               planned.model.path().string()));
  if (!request.output.empty()) write_json_file(request.output, planned.result.plan.to_json());
  if (request.explain) planned.explanations = explain(planned.result.plan, problem);
  return planned;
}

}  // namespace strata::pipeline
