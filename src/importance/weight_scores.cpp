// One block's weights are held at a time.
#include "importance/weight_scores.h"

#include "core/progress.h"

namespace strata::importance {

Scores score_weights(const model::Model& model, std::span<const Signal* const> signals) {
  const std::size_t blocks = model.architecture().blocks;
  Scores scores;
  scores.fingerprint = model.fingerprint();
  Progress progress("weights", blocks);
  for (std::size_t b = 0; b < blocks; ++b) {
    const BlockWeights weights(model, b);
    for (const Signal* signal : signals)
      scores.blocks[std::string(signal->name)].values.push_back(signal->of_block(weights));
    progress.advance();
  }
  return scores;
}

std::string weight_signals() {
  std::string names;
  for (const Signal& signal : signals())
    if (signal.of_block != nullptr) names += (names.empty() ? "" : ",") + std::string(signal.name);
  return names;
}

}  // namespace strata::importance
