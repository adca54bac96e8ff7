// Block reconstruction: the rounding of all linears of one block, learned together so that the block puts out what the
// original does (arXiv 2309.05516). Formulas, cost and figures: docs/methods.md.
#pragma once
#include <cstddef>
#include <functional>
#include <map>
#include <vector>

#include "engine/engine.h"
#include "engine/hidden_states.h"
#include "quantize/learned_rounding.h"

namespace strata::pipeline {

struct TuneOptions {
  std::size_t steps = 0;            ///< 0: no tuning
  std::size_t batch_tokens = 2048;  ///< of a step: whole sequences, at least one
  float offset_rate = 0.001f;       ///< of the first step, in steps of the grid; falls to 0
  float scale_rate = 0.01f;         ///< of the first step, relative; falls to 0
};

/// By sequence: what goes into the block, and what should come out of it.
struct TuneData {
  engine::HiddenStates& inputs;
  engine::HiddenStates& targets;
  std::size_t seq_len;
};

/// Squared error of the block's output, each token relative to the square of its target and of its error at the start,
/// on sequences held out of the learning (every eighth, at least one; of a single sequence, itself).
struct BlockLoss {
  double start = 0.0, best = 0.0;
};

/// learned: by index into Architecture::linears, of this block, each started; left with the codes and scales of least
/// held-out loss kept: never more than at the start. Linears of the block that are not in it stay the original's.
/// tick: called after every step. Runs on all threads; the result does not depend on their number.
BlockLoss tune_block(engine::Engine& engine, std::size_t block, const TuneData& data,
                     std::map<std::size_t, quantize::LearnedRounding>& learned, const TuneOptions& options,
                     const std::function<void()>& tick);

}  // namespace strata::pipeline
