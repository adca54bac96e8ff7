// A calibration set of random tokens, for tests whose figures need no meaning.
// The same seed gives the same tokens.
#pragma once
#include <vector>

#include "core/random.h"
#include "importance/calibration.h"

namespace strata {

inline importance::CalibrationSet random_tokens(std::size_t vocab, std::size_t count, std::size_t length,
                                                std::uint64_t seed) {
  Random random(seed);
  std::vector<std::vector<engine::Token>> sequences(count, std::vector<engine::Token>(length));
  for (auto& sequence : sequences)
    for (engine::Token& token : sequence) token = static_cast<engine::Token>(random.below(vocab));
  importance::CalibrationSource source;
  source.files = {"random"};
  return importance::calibration_from_tokens(std::move(sequences), source);
}

}  // namespace strata
