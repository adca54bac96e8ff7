// The original model's hidden states over the calibration set, block by block beside those of the rounded one.
// Memory: the hidden states, unless they are spilled, and one block's weights.
#pragma once
#include <cstddef>
#include <filesystem>
#include <vector>

#include "engine/hidden_states.h"
#include "importance/calibration.h"

namespace strata::pipeline {

class OriginalStream {
 public:
  /// spill_folder: of engine::HiddenStates.
  OriginalStream(const model::Model& model, const importance::CalibrationSet& set, kernel::Precision precision,
                 const std::filesystem::path& spill_folder);

  /// Before the block, between its halves, or behind it, as far as `advance` has come.
  engine::HiddenStates& states() { return states_; }
  /// Rows (tokens, size) at a site of the half that `advance` runs next, of sequences [first, first + some); valid, and
  /// the caller's to change, until the next call.
  std::vector<float>& rows(std::size_t block, engine::Site site, std::size_t first, std::size_t some);
  /// Adds the attention or the feed-forward of a block to the states of sequences [first, first + some), which follow
  /// those that were advanced last, and returns them, (tokens, hidden), until the next call.
  const float* advance(std::size_t block, bool attention, std::size_t first, std::size_t some);
  /// To the states of all sequences that the half has not been added to yet.
  void advance(std::size_t block, bool attention);

 private:
  void run(std::size_t block, bool attention, std::size_t first, std::size_t some, const engine::Observer* observer,
           engine::Site last);
  engine::Engine engine_;
  std::size_t seq_len_;
  engine::HiddenStates states_;
  std::size_t advanced_ = 0;  ///< sequences that are a half ahead of the others
  std::vector<float> rows_;
};

}  // namespace strata::pipeline
