// The table of mixers as the engine runs them, forwards and backwards. What they consist of is in model/mixers.
#pragma once
#include <cstddef>
#include <string_view>

#include "engine/engine.h"
#include "engine/part_gradient.h"

namespace strata::engine {

struct MixerRow {
  model::Mixer mixer;
  Engine::Mix Engine::*forward = nullptr;
  PartMaker gradient = nullptr;
  std::string_view why_no_gradient = {};  ///< a sentence where `gradient` is null

  /// The row of a block's mixer.
  static const MixerRow& of(const model::Architecture& architecture, std::size_t block);
};

}  // namespace strata::engine
