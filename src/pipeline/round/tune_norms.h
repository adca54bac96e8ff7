// The norms of a quantized model, learned as a whole: their weights are a few thousandths of the bytes, stay in 16 or
// 32 bits, and scale what every linear reads. Formulas, cost and figures: docs/methods.md.
#pragma once
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "importance/calibration.h"
#include "model/model.h"

namespace strata::pipeline {

struct NormOptions {
  double rate = 0.006;              ///< of a step, relative to a weight; rises over the first steps, then falls to 0
  std::size_t batch_tokens = 1024;  ///< of a step: whole sequences, at least one
  std::size_t rounds = 1;           ///< over the set
};

struct TunedNorms {
  std::map<std::string, std::vector<float>> weights;  ///< by tensor, Hugging Face's names; the kept ones
  std::size_t steps = 0;
  /// Mean KL divergence from the original in nats, on the sequences held out of the learning (every eighth, at least
  /// one): before, and of the weights that are kept, which is never more.
  double start = 0.0, best = 0.0;
};

/// Learns the norms over the hidden size (model::kStreamNorms) of every block and the last norm by gradient descent on
/// the KL divergence of `quantized` from `original` over the set. Both must have the same architecture, and the set at
/// least two sequences. The result does not depend on the number of threads. Memory: one block of f32 weights,
/// batch_tokens x (hidden x blocks + 2 x vocab) floats, and the set's last hidden states. Throws Error when the two do
/// not belong together, for a mixture of experts, or when a loss is not finite, and Interrupted after Ctrl-C.
TunedNorms tune_norms(const model::Model& original, const model::Model& quantized,
                      const importance::CalibrationSet& set, const NormOptions& options);

}  // namespace strata::pipeline
