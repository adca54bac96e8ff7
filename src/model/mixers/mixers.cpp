// The table of mixers: a row each, in the order of Mixer. Each row is in its own file.
#include <algorithm>
#include <array>

#include "core/error.h"
#include "model/mixers/mixer.h"

namespace strata::model {
namespace {

constexpr MixerKind kNoMixer{.mixer = Mixer::none, .name = "none"};

constexpr std::array kKinds = {&kAttentionMixer, &kLatentMixer,    &kDeltaMixer, &kConvolutionMixer,
                               &kMambaMixer,     &kSelectiveMixer, &kNoMixer};

}  // namespace

std::span<const MixerKind* const> mixer_kinds() { return kKinds; }

const MixerKind& mixer_kind(Mixer mixer) {
  const auto kind = std::ranges::find(kKinds, mixer, &MixerKind::mixer);
  STRATA_CHECK(kind != kKinds.end(), "mixer {} has no row", static_cast<int>(mixer));
  return **kind;
}

std::string_view mixer_name(Mixer mixer) { return mixer_kind(mixer).name; }

std::string kept_name(const Architecture& a, std::size_t block, std::string_view part) {
  const MixerKind& kind = mixer_kind(a, block);
  STRATA_CHECK(kind.module != nullptr, "block {} has no mixer", block);
  return fmt::format("{}{}.{}", a.names.block(block), a.names.*kind.module, part);
}

ExpectedTensor kept_tensor(const Architecture& a, std::size_t block, std::string_view part,
                           std::vector<std::uint64_t> shape) {
  return {.name = kept_name(a, block, part), .shape = std::move(shape), .as_is = true};
}

}  // namespace strata::model
