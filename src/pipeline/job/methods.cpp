// The table of methods.
#include "pipeline/job/methods.h"

#include "core/suggest.h"

namespace strata::pipeline {
namespace {

constexpr Method kMethods[] = {
    {.name = "rtn",
     .meaning = "each weight to the nearest code",
     .calibrated = false,
     .pricing = Pricing::own,
     .forecast = forecast_rtn,
     .seconds = seconds_of_rtn,
     .write = write_rtn},
    {.name = "gptq",
     .meaning = "with error feedback over the inputs of a calibration text, block by block",
     .calibrated = true,
     .pricing = Pricing::mean,
     .forecast = forecast_gptq,
     .seconds = seconds_of_gptq,
     .write = write_gptq},
};

}  // namespace

std::span<const Method> methods() { return kMethods; }

std::vector<std::string> method_names() {
  std::vector<std::string> names;
  for (const Method& method : kMethods) names.emplace_back(method.name);
  return names;
}

const Method& method_by_name(std::string_view name) {
  for (const Method& method : kMethods)
    if (method.name == name) return method;
  fail_usage("method '{}' is not known{}; there are {}", name, did_you_mean(name, method_names()),
             fmt::join(method_names(), ", "));
}

}  // namespace strata::pipeline
