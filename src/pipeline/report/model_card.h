// The model card of a quantized folder: what it was made from and how, what was measured, and what loads it.
// It says nothing that was not measured or read.
#pragma once
#include <string>

#include "eval/evaluate.h"
#include "model/model.h"
#include "pipeline/plan/plan.h"
#include "pipeline/plan/target.h"

namespace strata::pipeline {

/// What a card tells. What is referred to outlives it.
struct CardFacts {
  const model::Model& model;  ///< the original
  const Plan& plan;
  const Target& target;
  std::string method, command;                 ///< the method's name; what was typed
  std::uint64_t bytes = 0;                     ///< of all files
  const eval::Evaluation* measured = nullptr;  ///< nullptr: the result was not measured
};

/// Markdown behind a YAML head, at most most_card_text() bytes (output/card_file.h): a command that is too long is cut.
std::string model_card(const CardFacts& facts);

/// The lines of the YAML head of a card that stay true for a quantized model: its licence, languages, task, library.
/// The card is hostile: what is no short plain text is left out.
std::string kept_head(const std::string& card);

}  // namespace strata::pipeline
