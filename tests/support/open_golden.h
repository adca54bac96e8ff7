// The golden models and made-up tokens for them, for tests of whole stages.
#pragma once
#include <string>
#include <vector>

#include "importance/calibration.h"
#include "model/model.h"
#include "support/golden_model.h"

namespace strata::pipeline {

inline model::Model tiny(const std::string& name) { return model::Model::open(golden_model(name)); }

inline importance::CalibrationSet tokens_for(const model::Model& model, std::size_t count = 5) {
  std::vector<std::vector<engine::Token>> sequences(count, std::vector<engine::Token>(24));
  engine::Token next = 7;
  for (auto& sequence : sequences)
    for (engine::Token& token : sequence) {
      token = next % static_cast<engine::Token>(model.architecture().vocab);
      next = next * 31 + 11;
    }
  return importance::calibration_from_tokens(std::move(sequences), {});
}

}  // namespace strata::pipeline
