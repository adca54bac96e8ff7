// Tests what config.json makes of gated delta nets whose q, k and v are linears of their own, and of the blocks beside.
// The engine's goldens test what the parts compute.
#include <gtest/gtest.h>

#include "model/architecture.h"
#include "model/tensors.h"
#include "support/error_of.h"

namespace strata::model {
namespace delta_net_test {

json olmo() {
  return json::parse(R"({"model_type": "olmo_hybrid", "hidden_size": 64, "intermediate_size": 96, "vocab_size": 64,
    "num_hidden_layers": 4, "num_attention_heads": 4, "rms_norm_eps": 1e-6, "rope_parameters": null,
    "rope_theta": null})");
}

Architecture parsed(const json& config) { return parse_architecture(config, "config.json"); }

std::string error_of(const json& config) {
  return ::strata::error_of([&] { parsed(config); });
}

TEST(ParseDeltaNet, SizesThatAreLeftOutFollowFromAttention) {
  const Architecture a = parsed(olmo());
  const DeltaNet& d = a.delta;
  EXPECT_EQ(d.key_heads, 4u);
  EXPECT_EQ(d.value_heads, 4u);
  EXPECT_EQ(d.key_size, 12u);  // three quarters of 64 / 4
  EXPECT_EQ(d.value_size, 24u);
  EXPECT_EQ(d.beta_scale, 2.0f);
  EXPECT_EQ(d.norm_epsilon, 1e-5f);
  for (std::size_t b = 0; b < 4; ++b) EXPECT_EQ(a.attention[b].mixer, b == 3 ? Mixer::attention : Mixer::delta) << b;
  json config = olmo();
  config["num_hidden_layers"] = 2;
  EXPECT_EQ(parsed(config).attention[1].mixer, Mixer::attention) << "one block attends at least";
  config["linear_allow_neg_eigval"] = false;
  EXPECT_EQ(parsed(config).delta.beta_scale, 1.0f);
}

TEST(ParseDeltaNet, QueriesKeysAndValuesShareACodecWithTheGate) {
  const Architecture a = parsed(olmo());
  const FusionGroup& group = a.groups[a.linear(0, Role::q).group];
  EXPECT_EQ(group.name, "model.layers.0.linear_attn.in_proj_qkvg");
  EXPECT_EQ(group.linears.size(), 4u);
  EXPECT_EQ(a.linear(0, Role::q).module, "model.layers.0.linear_attn.q_proj");
  EXPECT_EQ(a.linear(0, Role::k).rows, 48u);
  EXPECT_EQ(a.linear(0, Role::v).rows, 96u);
  EXPECT_EQ(a.linear(0, Role::in_z).module, "model.layers.0.linear_attn.g_proj");
  for (const Role role : {Role::in_a, Role::in_b}) EXPECT_EQ(a.groups[a.linear(0, role).group].linears.size(), 1u);
  EXPECT_EQ(a.linear(0, Role::o).module, "model.layers.0.linear_attn.o_proj");
  EXPECT_EQ(a.linear(3, Role::q).module, "model.layers.3.self_attn.q_proj");
  EXPECT_EQ(a.linear(3, Role::q).rows, 64u) << "without a gate";
}

TEST(ParseDeltaNet, NormsStandBeforeTheHalvesThereAndAfterThemWhereABlockAttends) {
  const Architecture a = parsed(olmo());
  const auto name = [&](Norm norm, std::size_t b) { return a.has(norm, b) ? norm_name(a, norm, b) : std::string(); };
  EXPECT_EQ(name(Norm::before_attention, 0), "model.layers.0.input_layernorm.weight");
  EXPECT_EQ(name(Norm::before_feed_forward, 0), "model.layers.0.post_attention_layernorm.weight");
  EXPECT_EQ(name(Norm::after_attention, 0) + name(Norm::after_feed_forward, 0), "");
  EXPECT_EQ(name(Norm::before_attention, 3) + name(Norm::before_feed_forward, 3), "");
  EXPECT_EQ(name(Norm::after_attention, 3), "model.layers.3.post_attention_layernorm.weight");
  EXPECT_EQ(name(Norm::after_feed_forward, 3), "model.layers.3.post_feedforward_layernorm.weight");
  EXPECT_FALSE(a.adds_outputs_plainly());
}

TEST(ParseDeltaNet, ARopeThetaOfNullTurnsTheRotaryEmbeddingOff) {
  json config = olmo();
  EXPECT_EQ(parsed(config).attention[3].rope, kNoRope);
  config.erase("rope_theta");
  EXPECT_NE(parsed(config).attention[3].rope, kNoRope) << "transformers takes its default then";
  config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", nullptr}};
  EXPECT_EQ(parsed(config).attention[3].rope, kNoRope);
  config["rope_parameters"]["rope_theta"] = 500.0;
  EXPECT_EQ(parsed(config).ropes[parsed(config).attention[3].rope].theta, 500.0);
}

TEST(ParseDeltaNet, WhatIsNotComputedIsRefused) {
  json config = olmo();
  config["hidden_act"] = "gelu";
  EXPECT_NE(error_of(config).find("'hidden_act' is not silu"), std::string::npos) << error_of(config);
  config = olmo();
  config["linear_use_gate"] = false;
  EXPECT_NE(error_of(config).find("'linear_use_gate'"), std::string::npos) << error_of(config);
  config = olmo();
  config["layer_types"] = {"linear_attention", "sliding_attention", "linear_attention", "full_attention"};
  EXPECT_NE(error_of(config).find("'sliding_attention'"), std::string::npos) << error_of(config);
  config = olmo();
  config["linear_num_key_heads"] = 3;
  EXPECT_NE(error_of(config).find("cannot be shared"), std::string::npos) << error_of(config);
}

}  // namespace delta_net_test
}  // namespace strata::model
