// Block reconstruction: learns the rounding of all linears of one block together, so that the block puts out what the
// original does (arXiv 2309.05516). Formulas, cost and figures: docs/methods.md.
#pragma once
#include <cstddef>
#include <functional>
#include <map>
#include <vector>

#include "core/options.h"
#include "engine/engine.h"
#include "engine/hidden_states.h"
#include "engine/side_states.h"
#include "quantize/learned_rounding.h"

namespace strata::pipeline {

struct TuneOptions {
  std::size_t steps = 0;            ///< steps of gradient descent for each block; 0 turns tuning off
  std::size_t batch_tokens = 2048;  ///< tokens of a step, in whole sequences, at least one
  float offset_rate = 0.001f;       ///< of offsets in the first step, in steps of the grid; falls to 0
  float scale_rate = 0.01f;         ///< of scales in the first step, relative; falls to 0
};

void visit(TuneOptions& options, OptionVisitor& visitor);

/// The states that go into the block, what it reads beside them, and the states that should come out of it, by
/// sequence.
struct TuneData {
  engine::HiddenStates& inputs;
  engine::SideStates& side;
  engine::HiddenStates& targets;
  std::size_t seq_len;
};

/// The squared error of the block's output on the sequences held out of the learning (hold_out). Each token's error is
/// relative to the square of its target plus the square of its error at the start. Keys and values that the block
/// leaves to later ones count only as far as its own output tells.
struct BlockLoss {
  double start = 0.0, best = 0.0;
};

/// Learns the linears of a block. `learned` holds them, each with its rounding at the start, by index into
/// Architecture::linears; each keeps the codes and scales of the least held-out loss, which is never more than at the
/// start. Linears of the block that `learned` does not hold stay the original's. `tick` is called after every step.
/// The work runs on all threads; the result does not depend on their number.
BlockLoss tune_block(engine::Engine& engine, std::size_t block, const TuneData& data,
                     std::map<std::size_t, quantize::LearnedRounding>& learned, const TuneOptions& options,
                     const std::function<void()>& tick);

}  // namespace strata::pipeline
