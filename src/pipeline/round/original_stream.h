// The original model's hidden states over the calibration set. They advance block by block beside the rounded model's.
// Memory: the hidden states and what stands beside them, unless they are spilled, and one block's weights.
#pragma once
#include <cstddef>
#include <filesystem>
#include <optional>
#include <vector>

#include "engine/hidden_states.h"
#include "engine/side_states.h"
#include "importance/calibration.h"

namespace strata::pipeline {

class OriginalStream {
 public:
  /// The hidden states lie in a file in `spill_folder`, or in memory when it is empty. The set must outlive this.
  OriginalStream(const model::Model& model, const importance::CalibrationSet& set, kernel::Precision precision,
                 const std::filesystem::path& spill_folder);

  /// The states before a block, between its halves, or after it, as far as `advance` has come.
  engine::HiddenStates& states() { return states_; }
  /// Rows (tokens, size) of sequences [first, first + count) at a site of the half that `advance` runs next. They are
  /// valid, and the caller may change them, until the next call.
  std::vector<float>& rows(std::size_t block, engine::Site site, std::size_t first, std::size_t count);
  /// Adds a half of a block to the states of sequences [first, first + count), which must follow those that were
  /// advanced last. Returns these states, (tokens, hidden), valid until the next call.
  const float* advance(std::size_t block, engine::Half half, std::size_t first, std::size_t count);
  /// Adds a half of a block to the states of all sequences that it has not been added to yet.
  void advance(std::size_t block, engine::Half half);

 private:
  void run(std::size_t block, engine::Half half, std::size_t first, std::size_t count, const engine::Observer* observer,
           engine::Site last);
  engine::Engine engine_;
  std::size_t seq_len_;
  engine::HiddenStates states_;
  engine::SideStates side_;
  std::optional<engine::HiddenStates> inputs_;  ///< the states before the block, where its second half reads them
  std::size_t advanced_ = 0;                    ///< sequences that are a half ahead of the others
  std::vector<float> rows_;
  engine::Batch batch_;  ///< of as many sequences as ran last
};

}  // namespace strata::pipeline
