// Learns all norms of a quantized model together. Their weights are a few thousandths of the bytes, stay in 16 or 32
// bits, and scale what every linear reads. Formulas, cost and figures: docs/methods.md.
#pragma once
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "core/options.h"
#include "importance/calibration.h"
#include "model/model.h"

namespace strata::pipeline {

struct NormOptions {
  double rate = 0.006;              ///< of a step, relative to a weight; it rises over the first steps, then falls to 0
  std::size_t batch_tokens = 1024;  ///< tokens of a step, in whole sequences, at least one
  std::size_t rounds = 1;           ///< how often every training sequence is used
};

void visit(NormOptions& options, OptionVisitor& visitor);

struct TunedNorms {
  std::map<std::string, std::vector<float>> weights;  ///< the kept weights, by Hugging Face's name of the tensor
  std::size_t steps = 0;
  /// The mean KL divergence from the original in nats per token on the sequences held out of the learning (hold_out):
  /// at the start, and with the kept weights, which is never more.
  double start = 0.0, best = 0.0;
};

/// Learns the norms over the hidden size (model::kStreamNorms) of every block and the last norm by gradient descent on
/// the KL divergence of `quantized` from `original` over the set. Both must have the same architecture, and the set at
/// least two sequences. The result does not depend on the number of threads. Memory: one block of f32 weights,
/// batch_tokens x (hidden x blocks + 2 x vocab) floats, and the set's last hidden states. Throws Error when the two do
/// not belong together, for a model without gradients, or when a loss is not finite, and Interrupted after Ctrl-C.
TunedNorms tune_norms(const model::Model& original, const model::Model& quantized,
                      const importance::CalibrationSet& set, const NormOptions& options);

}  // namespace strata::pipeline
