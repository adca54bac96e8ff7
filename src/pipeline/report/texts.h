// The same prompts answered by the original and by the quantized model, for a person to compare.
// The most likely tokens, so that the same models give the same texts.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "model/model.h"
#include "pipeline/report/data.h"

namespace strata::pipeline {

/// Prompts for when the user gives none.
std::vector<std::string> default_prompts();

/// At most `tokens` tokens of each model after each prompt: through the chat template where the original has one, else
/// as a continuation. One engine at a time is held. Throws Error for models without a tokenizer or of different
/// vocabularies, and Interrupted after Ctrl-C.
std::vector<ReportData::Sample> side_by_side(const model::Model& original, const model::Model& quantized,
                                             std::span<const std::string> prompts, std::size_t tokens);

}  // namespace strata::pipeline
