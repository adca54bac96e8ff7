// The methods of rounding by name, and how each prices codecs against each other.
#pragma once
#include <string>
#include <vector>

#include "pipeline/choose/costs.h"

namespace strata::pipeline {

enum class Method {
  rtn,   ///< round to nearest
  gptq,  ///< error feedback over the inputs' second moments, block by block (docs/methods.md)
};

/// As users and files spell them.
inline const std::vector<std::string> kMethodNames = {"rtn", "gptq"};
/// Throws UsageError for any other name.
Method method_named(const std::string& name);
Pricing pricing_of(Method method);

}  // namespace strata::pipeline
