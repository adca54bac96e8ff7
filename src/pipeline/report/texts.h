// Lets the original and the quantized model answer the same prompts, for a person to compare.
// Each token is the most likely one, so that the same models always give the same texts.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "model/model.h"
#include "pipeline/report/data.h"

namespace strata::pipeline {

/// Prompts that are asked when the user gives none.
std::vector<std::string> default_prompts();

/// Each model writes at most `tokens` tokens after each prompt: through the chat template where the original has one,
/// else as a continuation. One engine at a time is held. Throws Error for models without a tokenizer or of different
/// vocabularies, and Interrupted after Ctrl-C.
std::vector<ReportData::Sample> side_by_side(const model::Model& original, const model::Model& quantized,
                                             std::span<const std::string> prompts, std::size_t tokens);

}  // namespace strata::pipeline
