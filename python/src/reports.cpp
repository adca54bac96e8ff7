// The page of a plan that is not carried out yet: where the bits would go, and the trade-off that it stands on.
// quantize writes the page of a result beside it.
#include <nanobind/stl/string.h>

#include "model/model.h"
#include "module.h"
#include "pipeline/choose/costs.h"
#include "pipeline/job/methods.h"
#include "pipeline/plan/target.h"
#include "pipeline/report/data.h"
#include "pipeline/report/page.h"

namespace nb = nanobind;

namespace strata::python {
namespace {

void add_scores(pipeline::ReportData& data, const model::Model& model, const pipeline::Target& target,
                const std::string& text, const std::string& command) {
  const auto scores = importance::Scores::from_json(parse_json(text, "scores"), model, "scores");
  const pipeline::Costs costs =
      pipeline::costs_of(scores, model.architecture(), pipeline::method_by_name(data.method()).pricing);
  data.set_scores(scores, model.architecture(), {}, command);
  data.set_costs(costs, model.architecture());
  data.set_trade_off(pipeline::trade_off(pipeline::Problem(model, target, {}, costs)), command);
}

/// An empty text when this build has no page.
std::string plan_page(const std::string& path, const std::string& plan_text, const std::string& scores,
                      const std::string& command) {
  const nb::gil_scoped_release no_gil;
  if (pipeline::report_page().empty()) return {};
  const json value = parse_json(plan_text, "plan");
  const pipeline::Target& target = pipeline::target_by_name(get<std::string>(value, "target", "plan"));
  const model::Model model = model::Model::open(path, target.fusion());
  pipeline::ReportData data;
  data.set_model(model);
  data.set_plan(pipeline::Plan::from_json(value, model, "plan"), model.architecture(), command);
  if (!scores.empty()) add_scores(data, model, target, scores, command);
  return pipeline::render_report(data.to_json());
}

}  // namespace

void add_reports(nb::module_& module) {
  module.def("plan_page", &plan_page, nb::arg("model"), nb::arg("plan"), nb::arg("scores"), nb::arg("command"),
             "The HTML page of a plan (JSON) of the model at this path; empty when strata was built without the page. "
             "scores: JSON, or empty.");
}

}  // namespace strata::python
