// Error feedback corrects part of what sets kinds of grid apart, so gptq prices them by a mean.
#include "pipeline/job/methods.h"

namespace strata::pipeline {

Method method_named(const std::string& name) {
  for (const Method method : {Method::rtn, Method::gptq})
    if (name == kMethodNames[static_cast<std::size_t>(method)]) return method;
  fail_usage("method '{}' is not known; there are {}", name, fmt::join(kMethodNames, ", "));
}

Pricing pricing_of(Method method) { return method == Method::gptq ? Pricing::mean : Pricing::own; }

}  // namespace strata::pipeline
