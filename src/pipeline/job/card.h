// The main job's last touch to a folder: the model card, when all that it tells is known.
#pragma once
#include <string>

#include "pipeline/job/quantize.h"

namespace strata::pipeline {

/// Writes the card into the output of a finished job, in place of the one that says that nothing was measured. An
/// output without such a place (a GGUF file, a model that nothing of was quantized) is left as it is.
void write_card(const model::Model& model, const QuantizeRequest& request, const Quantized& done,
                const std::string& command);

}  // namespace strata::pipeline
