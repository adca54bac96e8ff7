// What blocks read beside the hidden states of a set of sequences: the tokens themselves, and keys and values that
// earlier blocks have left to them. It stands beside the HiddenStates of one stream.
#pragma once
#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "engine/batch.h"
#include "engine/hidden_states.h"
#include "engine/site.h"
#include "model/architecture.h"

namespace strata::engine {

class SideStates {
 public:
  /// The sequences, all of one length, must outlive this, as must the architecture. Keys and values lie in memory, or
  /// in a nameless file in `spill_folder`.
  SideStates(const model::Architecture& architecture, std::span<const std::vector<Token>> sequences,
             const std::filesystem::path& spill_folder);

  /// Gives a batch of the sequences [first, first + count) what its blocks read, valid until the next call.
  void lend(Batch& batch, std::size_t first, std::size_t count);
  /// The same for single sequences one after another, by their indices, in a copy.
  void lend(Batch& batch, std::span<const std::size_t> sequences);
  /// Stores what this half of a block has left to later ones, if it does, in the range that was lent last.
  void keep(std::size_t block, Half half);

 private:
  const model::Architecture& architecture_;
  std::span<const std::vector<Token>> sequences_;
  std::optional<HiddenStates> shared_;
  std::vector<float> copied_;  ///< keys and values of single sequences
};

}  // namespace strata::engine
