// One pass of a model over the calibration set, block by block, shown to any number of observers.
// Only one block's weights and the set's hidden states are needed at a time.
#pragma once
#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "core/ranks.h"
#include "engine/engine.h"
#include "importance/calibration.h"

namespace strata::importance {

/// The calibration set is cut into parts whose sums are kept apart, so that errors have a spread: sequence s belongs to
/// part s * parts / sequences.
inline constexpr std::size_t kParts = 8;
std::size_t parts_of(std::size_t sequences, std::size_t most = kParts);
/// The ranks that share a pass: those given, but for sequences so short that a batch of one gives other bits, when each
/// rank makes the whole pass.
Ranks ranks_of_pass(const Ranks& ranks, const CalibrationSet& set);
/// They share the parts: where the sequences of each begin, and the last ones end.
std::vector<std::size_t> sequences_of_ranks(const Ranks& ranks, std::size_t sequences);

/// The rows of consecutive sequences of the set at one site, (sequences * tokens, size), valid during the call only.
struct SiteRows {
  engine::Site site;
  std::size_t block;
  std::size_t first_sequence, sequences, all_sequences;  ///< [first, first + sequences) of all_sequences
  std::size_t tokens;                                    ///< of each sequence
  const float* rows;
  std::size_t size;

  const float* of_sequence(std::size_t i) const { return rows + i * tokens * size; }
};
using PassObserver = std::function<void(const SiteRows&)>;
/// Called when a block has run over all sequences and what it gave is finite.
using BlockDone = std::function<void(std::size_t block)>;

/// The inputs of one expert's linears for a batch of sequences. All experts are fed: one that fewer than kFewTokens of
/// the batch's tokens are routed to is shown all tokens of the batch too (with rows.routed false).
struct PassExpertRows {
  std::size_t first_sequence, all_sequences, tokens;  ///< the batch's first sequence, and the tokens of each sequence
  const engine::ExpertRows& rows;                     ///< its places count from the first token of first_sequence
};
using PassExpertObserver = std::function<void(const PassExpertRows&)>;
inline constexpr std::size_t kFewTokens = 32;

/// How far a pass has come. Of several ranks each holds its share of the sequences.
struct PassState {
  std::size_t blocks = 0;     ///< those that have run over all sequences
  std::vector<float> hidden;  ///< (all tokens, hidden) after these blocks; empty before the first and after the last
  std::vector<float> shared = {};  ///< (all tokens, Architecture::shared_size): engine::Batch::shared; likewise
};

/// Runs all blocks over all sequences, from `state` on, and updates it before each call of `done`. For a block, every
/// site is seen for the first sequences, then for the next; every observer sees every site. Memory: (all tokens,
/// hidden) f32, and a batch of the engine's buffers. Throws Error when hidden states become NaN or infinite (naming the
/// block), and Interrupted after Ctrl-C. Of several ranks each runs its share of the sequences.
void run_calibration(engine::Engine& engine, const CalibrationSet& set, std::span<const PassObserver> observers,
                     const BlockDone& done, const PassExpertObserver& experts, PassState& state,
                     const Ranks& ranks = {});
/// The whole pass, from the first block on.
void run_calibration(engine::Engine& engine, const CalibrationSet& set, std::span<const PassObserver> observers,
                     const BlockDone& done = {}, const PassExpertObserver& experts = {});

}  // namespace strata::importance
