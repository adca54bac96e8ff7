// Tests what config.json makes of blocks with Mamba-2: which parts they have, their sizes, and what is refused.
// The engine's goldens test what the parts compute.
#include <gtest/gtest.h>

#include <limits>

#include "model/architecture.h"
#include "support/error_of.h"

namespace strata::model {
namespace mixers_mamba_test {

json nemotron() {
  return json::parse(R"({"model_type": "nemotron_h", "hidden_size": 32, "intermediate_size": 48, "vocab_size": 64,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "mamba_num_heads": 4, "mamba_head_dim": 8,
    "ssm_state_size": 6, "n_groups": 2, "conv_kernel": 4, "n_routed_experts": 4, "num_experts_per_tok": 2,
    "moe_intermediate_size": 16, "moe_shared_expert_intermediate_size": 24, "hybrid_override_pattern": "M-*E"})");
}

json granite() {
  return json::parse(R"({"model_type": "granitemoehybrid", "hidden_size": 32, "intermediate_size": 24,
    "shared_intermediate_size": 40, "vocab_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_local_experts": 4, "num_experts_per_tok": 2, "mamba_n_heads": 4, "mamba_d_state": 6, "mamba_d_conv": 4})");
}

Architecture parsed(const json& config) { return parse_architecture(config, "config.json"); }

std::string error_of(const json& config) {
  return ::strata::error_of([&] { parsed(config); });
}

/// One letter a block, as in hybrid_override_pattern.
std::string parts(const Architecture& a) {
  std::string text;
  for (std::size_t b = 0; b < a.blocks; ++b) {
    EXPECT_NE(a.mixes(b), a.feeds(b)) << b;
    const bool mamba = a.attention[b].mixer == Mixer::mamba;
    text += a.mixes(b) ? (mamba ? 'M' : '*') : a.layout[b].mixture ? 'E' : '-';
  }
  return text;
}

TEST(ParseMamba, ABlockOfNemotronHIsOnePart) {
  const Architecture a = parsed(nemotron());
  EXPECT_EQ(parts(a), "M-*E");
  EXPECT_EQ(a.block_linears(0).size(), 2u);
  EXPECT_EQ(a.linear(0, Role::in_zxbcdt).module, "model.layers.0.mixer.in_proj");
  EXPECT_EQ(a.linear(0, Role::in_zxbcdt).rows, 32u + (32u + 2u * 12u) + 4u);
  EXPECT_EQ(a.block_linears(1).size(), 2u);
  EXPECT_EQ(a.linear(1, Role::down).module, "model.layers.1.mixer.down_proj");
  EXPECT_EQ(a.block_linears(2).size(), 4u);
  EXPECT_EQ(a.block_linears(3).size(), 2u + 4u * 2u);
  for (std::size_t b = 0; b < a.blocks; ++b) {
    EXPECT_EQ(a.has(Norm::before_attention, b), a.mixes(b));
    EXPECT_EQ(a.has(Norm::before_feed_forward, b), a.feeds(b));
  }
}

TEST(ParseMamba, AStateStandsInPlaceOfACache) {
  const Architecture a = parsed(nemotron());
  EXPECT_EQ(a.cache_size(0), 0u);
  EXPECT_EQ(a.state_size(0), 32u * 6u + 3u * (32u + 2u * 12u));
  EXPECT_EQ(a.mixed_size(0), 32u);
  EXPECT_EQ(a.cache_size(1) + a.state_size(1) + a.mixed_size(1), 0u);
  EXPECT_EQ(a.cache_size(2), 2u * 2u * 16u);
  EXPECT_EQ(a.state_size(2), 0u);
}

TEST(ParseMamba, TheListOfPartsCountsBeforeThePatternAndTheNumberOfBlocks) {
  json config = nemotron();
  config["num_hidden_layers"] = 52;
  EXPECT_EQ(parts(parsed(config)), "M-*E");
  config["layers_block_type"] = {"mamba", "linear_attention", "full_attention", "attention", "mlp"};
  EXPECT_EQ(parts(parsed(config)), "MM**-");
  config["layers_block_type"] = nullptr;
  config["layer_types"] = {"moe", "mamba"};
  EXPECT_EQ(parts(parsed(config)), "EM");
  config.erase("layer_types");
  config.erase("hybrid_override_pattern");
  EXPECT_EQ(parts(parsed(config)), "ME*-");
}

TEST(ParseMamba, WithoutABlockOfExpertsThereAreNone) {
  json config = nemotron();
  config["hybrid_override_pattern"] = "M-*-";
  EXPECT_EQ(parsed(config).experts.count, 0u);
}

TEST(ParseMamba, NarrowExpertsHaveAMatrixBeforeAndBehindThem) {
  json config = nemotron();
  config["moe_latent_size"] = 12;
  const Architecture a = parsed(config);
  EXPECT_EQ(a.linear(3, Role::up, 2).cols, 12u);
  EXPECT_EQ(a.linear(3, Role::down, 2).rows, 12u);
  EXPECT_EQ(a.linear(3, Role::up, kSharedExpert).cols, 32u);
  EXPECT_EQ(a.linear(3, Role::to_latent).module, "model.layers.3.mixer.fc1_latent_proj");
  EXPECT_EQ(a.index(3, Role::to_latent), a.layout[3].first);
  EXPECT_EQ(a.index(3, Role::from_latent), a.layout[3].first + a.layout[3].count - 1);
  EXPECT_EQ(a.linear(3, Role::from_latent).rows, 32u);
}

TEST(ParseMamba, GraniteHasAFeedForwardPartInEveryBlock) {
  json config = granite();
  const Architecture everywhere = parsed(config);
  config["layer_types"] = {"mamba", "attention", "linear_attention"};
  const Architecture a = parsed(config);
  for (std::size_t b = 0; b < 3; ++b) {
    EXPECT_EQ(everywhere.attention[b].mixer, Mixer::mamba);
    EXPECT_EQ(a.attention[b].mixer, b == 1 ? Mixer::attention : Mixer::mamba);
    EXPECT_TRUE(a.feeds(b) && a.layout[b].mixture);
  }
  EXPECT_EQ(a.mamba.head_dim, 2u * 32u / 4u);  // of the inner size, which is mamba_expand times the hidden one
  EXPECT_EQ(a.linear(0, Role::gate_up).module, "model.layers.0.shared_mlp.input_linear");
  EXPECT_EQ(a.linear(0, Role::gate_up).rows, 80u);
  EXPECT_EQ(a.linear(0, Role::gate, 1).module, "model.layers.0.block_sparse_moe.experts.1.gate_proj");
}

TEST(ParseMamba, GraniteWithoutExpertsIsDense) {
  json config = granite();
  config["num_local_experts"] = 0;
  config["num_experts_per_tok"] = 0;
  const Architecture a = parsed(config);
  EXPECT_EQ(a.experts.count, 0u);
  EXPECT_FALSE(a.layout[0].mixture);
  EXPECT_EQ(a.linear(0, Role::down).module, "model.layers.0.shared_mlp.output_linear");
  EXPECT_EQ(a.intermediate, 40u);
}

TEST(ParseMamba, GraniteRotatesOnlyWhereConfigSaysSo) {
  json config = granite();
  EXPECT_EQ(parsed(config).attention[0].rope, kNoRope);
  config["position_embedding_type"] = "nope";
  EXPECT_EQ(parsed(config).attention[0].rope, kNoRope);
  config["position_embedding_type"] = "rope";
  EXPECT_EQ(parsed(config).attention[0].rope, 0u);
}

TEST(ParseMamba, LimitsOfStepsMayBeInfinite) {
  EXPECT_FLOAT_EQ(parsed(nemotron()).mamba.least_step, 0.001f);
  json config = granite();
  EXPECT_EQ(parsed(config).mamba.least_step, 0.0f);
  config["time_step_limit"] = json::parse(R"([0.5, {"__float__": "Infinity"}])");
  EXPECT_EQ(parsed(config).mamba.least_step, 0.5f);
  EXPECT_EQ(parsed(config).mamba.most_step, std::numeric_limits<float>::infinity());
  config["time_step_limit"] = {0.5, 0.1};
  EXPECT_NE(error_of(config).find("'time_step_limit' is [0.5,0.1], which is no range"), std::string::npos);
  config["time_step_limit"] = {-1, 2};
  EXPECT_NE(error_of(config).find("'time_step_limit' holds -1, expected numbers from 0"), std::string::npos);
  config["time_step_limit"] = 3;
  EXPECT_NE(error_of(config).find("'time_step_limit' is 3, expected two numbers"), std::string::npos);
}

TEST(ParseMamba, WhatDoesNotGoTogetherIsRefused) {
  const auto with = [](json config, const char* key, const json& value) {
    config[key] = value;
    return error_of(config);
  };
  const auto expect = [](const std::string& error, const char* part) {
    EXPECT_NE(error.find(part), std::string::npos) << error;
  };
  expect(with(nemotron(), "hybrid_override_pattern", "M?"), "'hybrid_override_pattern' has the letter '?', expected M");
  expect(with(nemotron(), "hybrid_override_pattern", ""), "'num_hidden_layers' is 0");
  expect(with(nemotron(), "layers_block_type", {"sliding"}), "'layers_block_type' names 'sliding', expected mamba");
  expect(with(nemotron(), "layers_block_type", "M"), "'layers_block_type' is \"M\"");
  expect(with(granite(), "layer_types", {"mamba", "mlp", "mamba"}), "'layer_types' names 'mlp', expected mamba or");
  expect(with(granite(), "layer_types", {"mamba"}), "'layer_types' has 1 entries for 3 blocks");
  expect(with(nemotron(), "n_groups", 3), "'mamba_num_heads' 4 cannot be shared out among 'n_groups' 3");
  expect(with(granite(), "mamba_n_heads", 100), "'mamba_n_heads' is 100, too many for a hidden size of 32");
  expect(with(nemotron(), "conv_kernel", 1000), "a convolution over 1000 tokens are too large");
  expect(with(nemotron(), "ssm_state_size", 1 << 24), "are too large");
  expect(with(nemotron(), "mamba_hidden_act", "gelu"), "mamba_hidden_act 'gelu' is not supported in Mamba-2");
  expect(with(nemotron(), "mlp_hidden_act", "tanh"), "mlp_hidden_act 'tanh' is not supported; known are silu, gelu_py");
  expect(with(granite(), "hidden_act", "relu2"),
         "hidden_act 'relu2' is not supported; known are silu, gelu_pytorch_tanh");
}

}  // namespace mixers_mamba_test
}  // namespace strata::model
