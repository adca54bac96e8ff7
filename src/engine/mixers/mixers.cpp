// A mixer is one row here: its function of Engine, and the maker of its gradient or why there is none.
#include "engine/mixers/mixers.h"

#include <algorithm>
#include <array>

#include "core/error.h"

namespace strata::engine {

using model::Mixer;

const MixerRow& MixerRow::of(const model::Architecture& a, std::size_t block) {
  static constexpr auto kRows = std::to_array<MixerRow>({
      {Mixer::attention, &Engine::mix_attention, make_attention_gradient},
      {Mixer::latent, &Engine::mix_latent, make_latent_attention_gradient},
      {Mixer::delta, &Engine::mix_delta, make_delta_net_gradient},
      {Mixer::convolution, &Engine::mix_convolution, make_short_convolution_gradient},
      {Mixer::mamba, &Engine::mix_mamba, make_mamba_gradient},
      {Mixer::selective, &Engine::mix_selective, make_selective_space_gradient},
      {Mixer::none},
  });
  const auto row = std::ranges::find(kRows, a.attention[block].mixer, &MixerRow::mixer);
  STRATA_CHECK(row != kRows.end(), "the mixer of block {} has no row", block);
  return *row;
}

}  // namespace strata::engine
