// Tests that the rows of all mixers say the same of a block as its linears do, on the configuration of every golden.
// The engine's goldens test what mixers compute.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "core/json.h"
#include "model/mixers/mixer.h"
#include "model/roles.h"
#include "support/golden_model.h"

namespace strata::model {
namespace mixers_mixers_test {

/// The architectures of all goldens.
std::vector<Architecture> golden_architectures() {
  std::vector<Architecture> result;
  for (const auto& entry : std::filesystem::directory_iterator(golden_model("llama_tied").parent_path()))
    if (const auto file = entry.path() / "config.json"; std::filesystem::exists(file))
      result.push_back(parse_architecture(read_json_file(file), file.string()));
  return result;
}

TEST(Mixers, EveryKindHasARowAndANameOfItsOwn) {
  std::set<std::string_view> names;
  for (const MixerKind* kind : mixer_kinds()) {
    EXPECT_EQ(&mixer_kind(kind->mixer), kind);
    EXPECT_EQ(mixer_name(kind->mixer), kind->name);
    EXPECT_TRUE(names.insert(kind->name).second) << kind->name;
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(Mixer::none) + 1);  // none is the last kind
}

TEST(Mixers, OReadsAsManyValuesAsTheMixerMakes) {
  std::set<Mixer> seen;
  for (const Architecture& a : golden_architectures())
    for (std::size_t b = 0; b < a.blocks; ++b) {
      seen.insert(a.attention[b].mixer);
      if (!a.mixes(b)) {
        EXPECT_EQ(a.mixed_size(b) + a.cache_size(b) + a.state_size(b), 0u) << a.model_type << " " << b;
        continue;
      }
      EXPECT_EQ(a.linear(b, Role::o).cols, a.mixed_size(b)) << a.model_type << " " << b;
      EXPECT_EQ(a.linear(b, Role::o).rows, a.hidden) << a.model_type << " " << b;
      EXPECT_GE(a.activations_per_token(), mixer_kind(a, b).floats(a)) << a.model_type << " " << b;
    }
  EXPECT_EQ(seen.size(), mixer_kinds().size());
}

TEST(Mixers, LinearsAreInTheOrderOfSitesAndThoseOfAGroupReadOne) {
  for (const Architecture& a : golden_architectures())
    for (std::size_t b = 0; b < a.blocks; ++b) {
      const std::vector<MixerLinear> linears = mixer_kind(a, b).linears(a, b);
      for (std::size_t l = 1; l < linears.size(); ++l) {
        const MixerLinear &before = linears[l - 1], &linear = linears[l];
        const auto site = role_row(linear.role).site, site_before = role_row(before.role).site;
        EXPECT_GE(site, site_before) << a.model_type << " " << role_name(linear.role);
        if (site == site_before) {
          EXPECT_EQ(linear.cols, before.cols) << a.model_type << " " << role_name(linear.role);
        }
        if (linear.group.empty() || linear.group != before.group) continue;
        EXPECT_EQ(site, site_before) << a.model_type << " " << linear.group;
      }
    }
}

TEST(Mixers, WhatAMixerKeepsIsNamedWithinItsBlock) {
  for (const Architecture& a : golden_architectures())
    for (std::size_t b = 0; b < a.blocks; ++b)
      for (const ExpectedTensor& tensor : mixer_kind(a, b).kept(a, b)) {
        EXPECT_TRUE(tensor.name.starts_with(a.names.block(b))) << tensor.name;
        EXPECT_TRUE(std::ranges::none_of(tensor.shape, [](std::uint64_t extent) { return extent == 0; }))
            << tensor.name;
      }
}

TEST(Mixers, ANormWithinAMixerBelongsToOneKindOfMixer) {
  for (const Architecture& a : golden_architectures())
    for (std::size_t b = 0; b < a.blocks; ++b) {
      const bool attends = a.attention[b].mixer == Mixer::attention, latent = a.attention[b].mixer == Mixer::latent;
      EXPECT_EQ(a.has(Norm::q, b), attends && a.qk_norm != QkNorm::none) << a.model_type << " " << b;
      EXPECT_EQ(a.has(Norm::kv_a, b), latent) << a.model_type << " " << b;
      EXPECT_EQ(a.has(Norm::q_a, b), latent && a.latent.q_rank != 0) << a.model_type << " " << b;
    }
}

}  // namespace mixers_mixers_test
}  // namespace strata::model
