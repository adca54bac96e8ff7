// One pass of a model over the calibration set, block by block, shown to any number of observers.
// Only one block's weights and the set's hidden states are needed at a time.
#pragma once
#include <cstddef>
#include <functional>
#include <span>

#include "engine/engine.h"
#include "importance/calibration.h"

namespace strata::importance {

/// Rows of some sequences of the set at one site, (sequences * tokens, size), valid during the call only.
struct SiteRows {
  engine::Site site;
  std::size_t block;
  std::size_t first_sequence, sequences, all_sequences;  ///< these are [first, first + sequences) of all
  std::size_t tokens;                                    ///< of each sequence
  const float* rows;
  std::size_t size;

  const float* of_sequence(std::size_t i) const { return rows + i * tokens * size; }
};
using PassObserver = std::function<void(const SiteRows&)>;
/// Called when a block has run over all sequences and what it gave is finite.
using BlockDone = std::function<void(std::size_t block)>;

/// Runs all blocks over all sequences. For a block, every site is seen for the first sequences, then for the next;
/// every observer sees every site. Memory: (all tokens, hidden) f32, and a batch of the engine's buffers. Throws Error
/// when hidden states become NaN or infinite (naming the block), and Interrupted after Ctrl-C.
void run_calibration(engine::Engine& engine, const CalibrationSet& set, std::span<const PassObserver> observers,
                     const BlockDone& done = {});

}  // namespace strata::importance
