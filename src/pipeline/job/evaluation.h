// Evaluation as a user asks for it: perplexity of models, and their distance from the original they were made from.
// All models run on the same text, a batch of sequences at a time; no logits are kept.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "core/options.h"
#include "eval/eval_file.h"
#include "kernel/matmul.h"
#include "pipeline/job/listener.h"
#include "pipeline/job/tasks.h"

namespace strata::pipeline {

struct EvaluationRequest {
  std::vector<std::string> models;      ///< at least one
  std::string reference, text, output;  ///< reference: empty for none; output: eval.json, empty for no file
  kernel::Precision precision = kernel::Precision::f32;
  std::size_t seq_len = 512, samples = 0;  ///< samples: 0 for the whole text
  TaskRequest tasks;                       ///< none without names
  bool activations = false;                ///< also as the target runs them, with rounded activations
  std::optional<std::string> target;       ///< unset: vllm; only with `activations`
};
void visit(EvaluationRequest& request, OptionVisitor& visitor);

/// Judges the models by a text, by tasks, or by both, and writes the file that was asked for. command: what the result
/// shows as its origin. All ranks call it: they share the text, and the first one alone runs tasks and writes. Throws
/// UsageError where neither is given, Error for models that cannot be run or compared, for
/// a text that is too short and as run_tasks(), and Interrupted after Ctrl-C.
eval::EvalFile evaluate(const EvaluationRequest& request, Listener& listener, const std::string& command = {});

}  // namespace strata::pipeline
