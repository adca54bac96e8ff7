// The split of a calibration set into sequences that a method learns from and sequences that judge what it learned.
#pragma once
#include <cstddef>
#include <vector>

namespace strata::pipeline {

struct HeldOut {
  std::vector<std::size_t> training, held;  ///< indices of sequences, rising
};

/// Holds out every eighth of `count` sequences, and at least one. A single sequence is in both lists.
inline HeldOut hold_out(std::size_t count) {
  constexpr std::size_t each = 8;
  HeldOut result;
  for (std::size_t s = 0; s < count; ++s) (s % each == each - 1 ? result.held : result.training).push_back(s);
  if (result.held.empty() && result.training.size() > 1) {
    result.held.push_back(result.training.back());
    result.training.pop_back();
  }
  if (result.held.empty()) result.held = result.training;
  return result;
}

}  // namespace strata::pipeline
