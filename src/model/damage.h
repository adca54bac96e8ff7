// Who is to blame for results that are not finite: a weight outside of the linears is looked for when they appear.
// Weights of linears are checked where they are read.
#pragma once
#include <string>

#include "model/model.h"

namespace strata::model {

/// Throws the Error for results of the model that are not finite. It names the first weight of its norms, biases,
/// routers or embedding that is not finite, with its place; when all are, it says `otherwise`. Reads all of these.
[[noreturn]] void fail_not_finite(const Model& model, const std::string& otherwise);

}  // namespace strata::model
