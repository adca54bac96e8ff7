// Tests what config.json makes of blocks with Mamba-1: their sizes and linears, and what is refused.
// The engine's goldens test what they compute.
#include <gtest/gtest.h>

#include "model/architecture.h"
#include "support/error_of.h"

namespace strata::model {
namespace selective_space_test {

json mamba() {
  return json::parse(R"({"model_type": "mamba", "hidden_size": 40, "vocab_size": 64,
    "num_hidden_layers": 2, "state_size": 6, "conv_kernel": 3})");
}

Architecture parsed(const json& config) { return parse_architecture(config, "config.json"); }

std::string error_of(const json& config) {
  return ::strata::error_of([&] { parsed(config); });
}

TEST(ParseSelectiveSpace, ABlockIsTheMixerAlone) {
  const Architecture a = parsed(mamba());
  for (std::size_t b = 0; b < a.blocks; ++b) {
    EXPECT_EQ(a.attention[b].mixer, Mixer::selective);
    EXPECT_FALSE(a.feeds(b));
    EXPECT_EQ(a.block_linears(b).size(), 4u);
  }
  EXPECT_TRUE(a.tied);
  EXPECT_EQ(a.linear(1, Role::in_xz).module, "backbone.layers.1.mixer.in_proj");
  EXPECT_EQ(a.linear(1, Role::in_xz).rows, 160u);
  EXPECT_EQ(a.linear(1, Role::dtbc).rows, 3u + 2u * 6u) << "a rank of 40 / 16, rounded up";
  EXPECT_EQ(a.linear(1, Role::dt).cols, 3u);
  EXPECT_TRUE(a.linear(1, Role::dt).bias);
  EXPECT_EQ(a.linear(1, Role::o).module, "backbone.layers.1.mixer.out_proj");
  EXPECT_EQ(a.cache_size(0), 0u);
  EXPECT_EQ(a.state_size(0), 80u * 6u + 2u * 80u);
}

TEST(ParseSelectiveSpace, TheSizeOfTheMixerCountsBeforeItsExpansion) {
  json config = mamba();
  config["expand"] = 3;
  EXPECT_EQ(parsed(config).selective.inner, 120u);
  config["intermediate_size"] = 90;
  EXPECT_EQ(parsed(config).selective.inner, 90u);
}

TEST(ParseSelectiveSpace, TheRankIsANumberOrFollowsFromTheHiddenSize) {
  json config = mamba();
  config["time_step_rank"] = "auto";
  EXPECT_EQ(parsed(config).selective.rank, 3u);
  config["time_step_rank"] = 7;
  EXPECT_EQ(parsed(config).selective.rank, 7u);
  config["time_step_rank"] = "many";
  EXPECT_NE(error_of(config).find("time_step_rank"), std::string::npos);
}

TEST(ParseSelectiveSpace, OnlyFalconMambaHasNormsWithin) {
  json config = mamba();
  config["mixer_rms_eps"] = 0.25;
  EXPECT_EQ(parsed(config).selective.norm_epsilon, 0.0f);
  config["model_type"] = "falcon_mamba";
  EXPECT_EQ(parsed(config).selective.norm_epsilon, 0.25f);
  config.erase("mixer_rms_eps");
  EXPECT_EQ(parsed(config).selective.norm_epsilon, 1e-6f);
  config["mixer_rms_eps"] = 0;
  EXPECT_NE(error_of(config).find("mixer_rms_eps"), std::string::npos);
}

TEST(ParseSelectiveSpace, SizesThatCannotBeAreRefusedByName) {
  for (const auto& [key, value] : {std::pair<const char*, json>{"expand", 1u << 24},
                                   {"intermediate_size", 0},
                                   {"state_size", 1u << 24},
                                   {"conv_kernel", 65},
                                   {"time_step_rank", 0},
                                   {"hidden_act", "gelu"}}) {
    json config = mamba();
    config[key] = value;
    EXPECT_NE(error_of(config).find(key), std::string::npos) << key;
  }
}

}  // namespace selective_space_test
}  // namespace strata::model
