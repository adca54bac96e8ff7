// Which runtimes load a checkpoint, and what keeps the others from it.
// The codecs are those on disk, and the rules those of the table of targets.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "model/model.h"
#include "pipeline/plan/target.h"

namespace strata::pipeline {

/// What a target says about a checkpoint.
struct Verdict {
  const Target* target;
  std::string reason;       ///< why it does not load the checkpoint; empty when it does
  std::string first;        ///< the first linear that the reason is about; empty when it is about the whole
  std::size_t linears = 0;  ///< how many linears are refused, for whatever reason

  bool loads() const { return reason.empty(); }
  /// "vllm:cpu: no: vLLM has no CPU kernel for it (nvfp4 in model.layers.0.mlp.gate_proj and 11 others)".
  std::string text() const;
};

/// By target, in the order of the table. A model without codecs is loaded by every runtime of its container.
std::vector<Verdict> verdicts(const model::Model& checkpoint);

}  // namespace strata::pipeline
