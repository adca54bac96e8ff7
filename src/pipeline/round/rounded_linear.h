// What a calibrated method says of a linear that it has rounded: its errors under the inputs of the calibration text.
#pragma once
#include <cstddef>
#include <optional>
#include <string>

#include "core/json.h"

namespace strata::pipeline {

/// The result for one linear. Errors are tr(dW H dW^T) / tr(W H W^T) with the Hessian H of its inputs; 0, of no tokens,
/// for one that was taken from the source as it is.
struct RoundedLinear {
  std::string module, codec;
  double relative_error = 0.0, nearest_relative_error = 0.0;
  std::optional<std::size_t> routed{};  ///< tokens that the router sends to an expert; unset for other linears
  std::size_t tokens = 0;               ///< tokens in H: an expert's routed ones, or all tokens when those are too few
  json to_json() const;
  static RoundedLinear from_json(const json& value, const std::string& where);
};

}  // namespace strata::pipeline
