// What a report does not show: which part, why, and the commands that add it.
// The page lists it, and `strata report` prints it.
#pragma once
#include "core/json.h"

namespace strata::pipeline {

/// A list of {part, title, why, commands} for the parts that the report's data lacks; `why` only where there is more to
/// say than that nobody asked for it yet. Commands name the model and the output where the data knows them.
json missing_parts(const json& data);

}  // namespace strata::pipeline
