// Tasks of EleutherAI's lm-evaluation-harness, which drives the models through the Python package (docs/tasks.md).
#pragma once
#include <string>
#include <vector>

#include "core/json.h"
#include "core/options.h"
#include "kernel/matmul.h"

namespace strata::pipeline {

struct TaskRequest {
  std::vector<std::string> names;  ///< of tasks, or paths of YAML files that define one
  std::size_t limit = 0;           ///< items of each, from its start; 0 for all
};
void visit(TaskRequest& request, OptionVisitor& visitor);

/// Runs the tasks on the models, and on the reference unless that is empty: for each model a list with an object for
/// every task, metric and filter, as eval.json has it (docs/files.md). Throws Error with the command that installs what
/// is missing, for a task that the harness does not know or cannot run, and Interrupted after Ctrl-C.
std::vector<json> run_tasks(const TaskRequest& request, const std::vector<std::string>& models,
                            const std::string& reference, kernel::Precision precision);

}  // namespace strata::pipeline
