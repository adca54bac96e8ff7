// Who is to blame for results that are not finite: a weight outside of the linears is looked for when they appear.
// Weights of linears are checked where they are read.
#pragma once
#include <string>

#include "model/model.h"

namespace strata::model {

/// Throws the Error "PATH: RESULT; CAUSE" for a result of the model that is not finite, such as "the output of block 3
/// is not finite". The cause is the first weight of its norms, biases, routers or embedding that is not finite, with
/// its place; when all are, it is `otherwise`. Reads all of these.
[[noreturn]] void fail_not_finite(const Model& model, const std::string& result, const std::string& otherwise);

}  // namespace strata::model
