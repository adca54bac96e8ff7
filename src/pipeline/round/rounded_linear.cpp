// The result for one linear as the journal of a job holds it.
// Keys are the members' names.
#include "pipeline/round/rounded_linear.h"

namespace strata::pipeline {

json RoundedLinear::to_json() const {
  return {{"module", module},
          {"codec", codec},
          {"relative_error", relative_error},
          {"nearest_relative_error", nearest_relative_error},
          {"routed", routed ? json(*routed) : json()},
          {"tokens", tokens}};
}

RoundedLinear RoundedLinear::from_json(const json& value, const std::string& where) {
  return {get<std::string>(value, "module", where),
          get<std::string>(value, "codec", where),
          get<double>(value, "relative_error", where),
          get<double>(value, "nearest_relative_error", where),
          value.contains("routed") && !value["routed"].is_null()
              ? std::optional(get<std::size_t>(value, "routed", where))
              : std::nullopt,
          get<std::size_t>(value, "tokens", where)};
}

}  // namespace strata::pipeline
