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
  /// Stores what this half of a block has left to later ones, if it does, in what was lent last.
  void keep(std::size_t block, Half half);

 private:
  const model::Architecture& architecture_;
  std::span<const std::vector<Token>> sequences_;
  std::optional<HiddenStates> shared_;
};

}  // namespace strata::engine
