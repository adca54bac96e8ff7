// The members, in the order in which a person would read them.
// A part that a job did not have is left out.
#include "pipeline/job/result_json.h"

#include "core/cpu.h"

namespace strata::pipeline {
namespace {

json to_json(const Written& written, std::string_view method) {
  json linears = json::array();
  for (const RoundedLinear& linear : written.linears) {
    linears.push_back({{"module", linear.module},
                       {"codec", linear.codec},
                       {"relative_error", linear.relative_error},
                       {"nearest_relative_error", linear.nearest_relative_error},
                       {"tokens", linear.tokens}});
    if (linear.routed) linears.back()["routed_tokens"] = *linear.routed;
  }
  json value = {{"method", method}};
  if (written.calibration) value.update({{"calibration", written.calibration->to_json()}, {"linears", linears}});
  json tuned = json::array();
  for (const BlockLoss& loss : written.tuned)
    tuned.push_back({{"held_out_error_before", loss.start}, {"held_out_error", loss.best}});
  if (!tuned.empty()) value["tuned_blocks"] = tuned;
  return value;
}

}  // namespace

json to_json(const PlanResult& plan) {
  json left_out = json::array();
  for (const LeftOut& item : plan.left_out) left_out.push_back({{"codec", item.codec}, {"reason", item.reason}});
  json value = {{"bits", plan.plan.bits()},
                {"linear_bytes", plan.plan.bytes()},
                {"output_bytes", plan.output_bytes},
                {"plan", plan.plan.to_json()},
                {"notes", plan.notes},
                {"left_out", left_out}};
  if (!plan.least_version.empty()) value["least_version"] = plan.least_version;
  return value;
}

json to_json(const Forecast& forecast) {
  return {{"seconds", forecast.seconds},
          {"scoring_seconds", forecast.scoring_seconds},
          {"memory_bytes", forecast.memory_bytes},
          {"disk_bytes", forecast.disk_bytes},
          {"spills", forecast.spills}};
}

json to_json(const DryRun& run) {
  json value = to_json(run.prepared.plan);
  value["estimate"] = to_json(run.forecast);
  return value;
}

json to_json(const Quantized& done, std::string_view method) {
  json value = to_json(done.prepared.plan);
  value["estimate"] = to_json(done.forecast);
  value["rounding_seconds"] = done.written.seconds;
  value["output"] = done.written.path.string();
  value["output_bytes"] = done.written.bytes;
  value["rounding"] = to_json(done.written, method);
  if (done.verification) value["verification"] = done.verification->to_json();
  value["seconds"] = done.seconds;
  value["peak_memory_bytes"] = peak_resident_bytes();
  return value;
}

}  // namespace strata::pipeline
