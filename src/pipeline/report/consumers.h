// Which codec each target takes, in dense layers and in experts, and from which version on: asked of the table of
// targets, never listed by hand. docs/formats/consumers.md is this table.
#pragma once
#include <string>
#include <vector>

#include "core/json.h"

namespace strata::pipeline {

/// An object with a list "targets"; of every codec of a target: null, or "dense" and "experts", each true or why not,
/// and "least_version" where the target says one.
json consumers_json();
/// A heading and a row of texts for codecs that all targets treat alike. A cell says what dense layers and then experts
/// need: "0.25, 0.29" are versions of vLLM, "yes" is any, "-" is not taken.
std::vector<std::vector<std::string>> consumers_rows();

}  // namespace strata::pipeline
