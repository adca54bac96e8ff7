// The main job's last touch to a folder: the model card, when all that it tells is known.
#pragma once
#include <string>

#include "pipeline/job/quantize.h"

namespace strata::pipeline {

/// Writes the card into the output of a finished job, in place of the one that says that nothing was measured. An
/// output without such a place (a GGUF file, a model that nothing of was quantized) is left as it is.
void write_card(const model::Model& model, const QuantizeRequest& request, const Quantized& done);

/// A command that makes the same result: "strata quantize MODEL -o OUT" and the options that the result depends on
/// where they are not as they are by default. Files are named without their folders, which are of one machine alone.
std::string command_of(const QuantizeRequest& request);

}  // namespace strata::pipeline
