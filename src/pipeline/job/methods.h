// The methods that round a model's weights, a row each: what a job with this method takes, and how it writes.
// A new method is a row of methods.cpp and a file beside it.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/job_folder.h"
#include "pipeline/choose/costs.h"
#include "pipeline/job/forecast.h"
#include "pipeline/job/listener.h"
#include "pipeline/job/prepare.h"
#include "pipeline/output/output.h"

namespace strata::pipeline {

/// A job whose plan is made. Everything that it refers to outlives it.
struct PlannedJob {
  const model::Model& model;
  const QuantizeRequest& request;
  const Prepared& prepared;
  const Output& output;
};

struct Written {
  std::uint64_t bytes = 0;
  std::filesystem::path path;            ///< opens the output: its folder or file, or the first file of a split one
  double seconds = 0;                    ///< spent on rounding and writing by this run
  std::vector<RoundedLinear> linears{};  ///< of a calibrated method: what this run and earlier ones have rounded
  std::vector<BlockLoss> tuned{};        ///< the blocks that this run has tuned, in order
  std::optional<importance::CalibrationSource> calibration{};  ///< the text that a calibrated method rounded by
};

struct Method {
  std::string_view name, meaning;
  bool calibrated;  ///< rounds by a calibration text, block by block
  Pricing pricing;  ///< what costs it makes of scores
  /// Adds the memory and disk that rounding and writing take to the forecast; needs no measuring.
  void (*forecast)(const PlannedJob& job, Forecast& forecast);
  /// Seconds that rounding and writing take, measured on this machine in about two seconds.
  double (*seconds)(const PlannedJob& job, const Forecast& forecast);
  /// Makes the output in the job's folder, from where an earlier run of the job stopped.
  void (*write)(const PlannedJob& job, const Forecast& forecast, JobFolder& folder, Listener& listener,
                Written& written);
};

std::span<const Method> methods();
/// Throws UsageError listing the known names.
const Method& method_by_name(std::string_view name);
std::vector<std::string> method_names();

// Each in a file of its own name.
void forecast_rtn(const PlannedJob& job, Forecast& forecast);
double seconds_of_rtn(const PlannedJob& job, const Forecast& forecast);
void write_rtn(const PlannedJob& job, const Forecast& forecast, JobFolder& folder, Listener& listener,
               Written& written);
void forecast_gptq(const PlannedJob& job, Forecast& forecast);
double seconds_of_gptq(const PlannedJob& job, const Forecast& forecast);
void write_gptq(const PlannedJob& job, const Forecast& forecast, JobFolder& folder, Listener& listener,
                Written& written);

}  // namespace strata::pipeline
