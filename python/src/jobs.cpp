// The jobs of src/pipeline/job, a row each: options by name in, what came of it as JSON out.
// A job runs without the GIL, and Python is told what it does.
#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <array>

#include "module.h"
#include "options.h"
#include "pipeline/job/evaluation.h"
#include "pipeline/job/hub.h"
#include "pipeline/job/methods.h"
#include "pipeline/job/planning.h"
#include "pipeline/job/quantize.h"
#include "pipeline/job/result_json.h"
#include "pipeline/job/scoring.h"
#include "pipeline/report/data.h"
#include "python_listener.h"

namespace nb = nanobind;

namespace strata::python {
namespace {

using pipeline::Listener;

struct Job {
  std::string_view name;
  void (*declare)(OptionVisitor& visitor);
  json (*run)(const Words& words, Listener& listener, const std::string& command);
};

template <class Request>
void declare(OptionVisitor& visitor) {
  Request request;
  visit(request, visitor);
}

json run_score(const Words& words, Listener& listener, const std::string&) {
  return to_json(pipeline::score(request_of<pipeline::ScoringRequest>(words), listener));
}

json run_plan(const Words& words, Listener&, const std::string&) {
  const pipeline::Planned planned = pipeline::plan(request_of<pipeline::PlanningRequest>(words));
  json value = to_json(planned.result);
  if (!planned.explanations.empty()) value["explanation"] = to_json(planned.explanations);
  return value;
}

json run_quantize(const Words& words, Listener& listener, const std::string& command) {
  const auto request = request_of<pipeline::QuantizeRequest>(words);
  const pipeline::Quantized done = pipeline::quantize(request, listener, command);
  json value = to_json(done, pipeline::method_of(request).name);
  if (request.report) value["report"] = pipeline::beside(done.written.path, ".report.html").string();
  return value;
}

json run_dry(const Words& words, Listener& listener, const std::string&) {
  return to_json(pipeline::dry_run(request_of<pipeline::QuantizeRequest>(words), listener));
}

json run_evaluate(const Words& words, Listener& listener, const std::string& command) {
  return pipeline::evaluate(request_of<pipeline::EvaluationRequest>(words), listener, command).to_json();
}

json run_pull(const Words& words, Listener&, const std::string&) {
  return pipeline::to_json(pipeline::pull(request_of<pipeline::PullRequest>(words)));
}

json run_push(const Words& words, Listener&, const std::string&) {
  return to_json(pipeline::push(request_of<pipeline::PushRequest>(words)));
}

constexpr std::array<Job, 7> kJobs = {{{"score", declare<pipeline::ScoringRequest>, run_score},
                                       {"plan", declare<pipeline::PlanningRequest>, run_plan},
                                       {"quantize", declare<pipeline::QuantizeRequest>, run_quantize},
                                       {"dry_run", declare<pipeline::QuantizeRequest>, run_dry},
                                       {"evaluate", declare<pipeline::EvaluationRequest>, run_evaluate},
                                       {"pull", declare<pipeline::PullRequest>, run_pull},
                                       {"push", declare<pipeline::PushRequest>, run_push}}};

const Job& job_named(const std::string& name) {
  for (const Job& job : kJobs)
    if (job.name == name) return job;
  fail_usage("'{}' is no job", name);
}

std::string declarations(const std::string& job) {
  Lister lister;
  job_named(job).declare(lister);
  return json_text(lister.listed);
}

std::string run(const std::string& job, const Words& words, nb::handle listener, const std::string& command,
                bool interruptible) {
  return while_told(listener, interruptible,
                    [&](PythonListener& told) { return json_text(job_named(job).run(words, told, command)); });
}

}  // namespace

void add_jobs(nb::module_& module) {
  module.def("declarations", &declarations, nb::arg("job"),
             "The options of a job, as a JSON list in the order of the command line's help.");
  module.def("run", &run, nb::arg("job"), nb::arg("words"), nb::arg("listener"), nb::arg("command"),
             nb::arg("interruptible"),
             "Does a job and returns what came of it as JSON. words: by an option's name, a list of words for each "
             "time that it is given. interruptible: Ctrl-C stops it; for the main thread only.");
}

}  // namespace strata::python
