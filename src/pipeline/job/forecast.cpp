// What all methods have in common: the program itself, the output, and the limit on memory.
#include "pipeline/job/forecast.h"

#include <algorithm>

#include "core/cpu.h"
#include "core/units.h"
#include "engine/residency.h"
#include "pipeline/job/methods.h"

namespace strata::pipeline {
namespace {

constexpr std::uint64_t kProgramBytes = 28u << 20;  // code and libraries, configuration, the model's table of tensors

/// What passes over the whole model take: those of the calibration, and of the verification, which runs the output
/// beside the model. Their rows are few beside the weights.
std::uint64_t bytes_of_passes(const PlannedJob& job) {
  const QuantizeRequest& request = job.request;
  const bool verifies = request.verify && job.model.architecture().why_not_runnable.empty();
  if (request.memory_limit || (!verifies && !job.prepared.calibration)) return 0;
  const std::optional<std::uint64_t> whole = engine::fitting_bytes(job.model);
  if (!whole) return 0;  // one block at a time takes less than rounding
  return kProgramBytes + *whole + (verifies ? job.output.bytes() : 0);
}

}  // namespace

Forecast forecast_memory(const PlannedJob& job) {
  const QuantizeRequest& request = job.request;
  Forecast forecast;
  forecast.disk_bytes = job.output.bytes();
  forecast.memory_bytes = kProgramBytes;
  method_of(request).forecast(job, forecast);
  if (request.memory_limit && forecast.memory_bytes > *request.memory_limit)
    fail("--memory {} cannot be kept: rounding this model takes at least {}; allow that, or use smaller --seq-len",
         human_bytes(*request.memory_limit), human_bytes(forecast.memory_bytes));
  forecast.memory_bytes = std::max({peak_resident_bytes(), forecast.memory_bytes, bytes_of_passes(job)});
  return forecast;
}

Forecast forecast(const PlannedJob& job) {
  Forecast result = forecast_memory(job);
  result.seconds = method_of(job.request).seconds(job, result);
  if (job.prepared.scoring) result.scoring_seconds = job.prepared.scoring->sum();
  return result;
}

}  // namespace strata::pipeline
