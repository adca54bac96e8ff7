// Tests keys of config.json that a few families alone have: what they change, and which of their values are refused.
// The engine's goldens test numerical behaviour.
#include <gtest/gtest.h>

#include "model/architecture.h"
#include "support/error_of.h"

namespace strata::model {
namespace family_keys_test {

json of_family(const char* model_type, const json& more = json::object()) {
  json config = json::parse(R"({"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100, "head_dim": 16})");
  config["model_type"] = model_type;
  config.update(more);
  return config;
}

Architecture read(const json& config) { return parse_architecture(config, "config.json"); }

std::string error_of(const json& config) {
  return ::strata::error_of([&] { read(config); });
}

const json& experts() {
  static const json keys = {
      {"num_experts", 8}, {"num_experts_per_tok", 2}, {"moe_intermediate_size", 32}, {"num_shared_experts", 1}};
  return keys;
}

TEST(FamilyKeys, WeightsOfExpertsThatAreNotNormalizedAreRefused) {
  for (const char* family : {"hy_v3", "afmoe"}) {
    json config = of_family(family, experts());
    config["route_norm"] = true;
    EXPECT_TRUE(read(config).experts.normalize);
    config["route_norm"] = false;
    EXPECT_EQ(error_of(config),
              fmt::format("config.json: 'route_norm' is false, and what {} models compute then is not "
                          "computed here",
                          family));
  }
}

TEST(FamilyKeys, NormsOfMptHaveAMean) {
  json config = {{"model_type", "mpt"}, {"d_model", 64}, {"n_layers", 2}, {"n_heads", 4}, {"vocab_size", 100}};
  for (const char* type : {"low_precision_layernorm", "layernorm"}) {
    config["norm_type"] = type;
    EXPECT_EQ(read(config).norm_kind, NormKind::layer);
  }
  config["norm_type"] = "rmsnorm";
  EXPECT_NE(error_of(config).find("'norm_type' is \"rmsnorm\""), std::string::npos) << error_of(config);
}

TEST(FamilyKeys, BlocksMayHaveHeadsOfTheirOwn) {
  json config = of_family("laguna", experts());
  EXPECT_EQ(read(config).q_size(1), 64u);
  config["num_attention_heads_per_layer"] = {4, 6, 8, 4};
  const Architecture a = read(config);
  EXPECT_EQ(a.q_size(1), 96u);
  EXPECT_EQ(a.q_size(), 128u);
  EXPECT_EQ(a.linear(2, Role::q).rows, 128u);
  EXPECT_EQ(a.linear(2, Role::o).cols, 128u);
  EXPECT_EQ(a.linear(2, Role::out_gate).rows, 8u);
  EXPECT_EQ(a.linear(2, Role::k).rows, 32u);
  config["num_attention_heads_per_layer"] = {4, 6, 8};
  EXPECT_NE(error_of(config).find("3 entries for 4 blocks"), std::string::npos);
  config["num_attention_heads_per_layer"] = {4, 6, 0, 4};
  EXPECT_NE(error_of(config).find("'num_attention_heads_per_layer' holds 0"), std::string::npos);
  config["num_attention_heads_per_layer"] = {4, 5, 4, 4};
  EXPECT_NE(error_of(config).find("5 attention heads cannot be shared by 2"), std::string::npos);
}

TEST(FamilyKeys, GatesAreOfAHeadOrOfAValue) {
  json config = of_family("laguna", experts());
  EXPECT_EQ(read(config).linear(0, Role::out_gate).rows, 4u);
  config["gating"] = "per-element";
  EXPECT_EQ(read(config).linear(0, Role::out_gate).rows, 64u);
  config["gating"] = "per-head";
  EXPECT_EQ(read(config).linear(0, Role::out_gate).rows, 4u);
  for (const json& other : {json(false), json("per-layer"), json()}) {
    config["gating"] = other;
    EXPECT_NE(error_of(config).find("'gating' is"), std::string::npos);
  }
  config = of_family("laguna", experts());
  config["moe_router_logit_softcapping"] = 0.0;
  EXPECT_EQ(error_of(config), "");
  config["moe_router_logit_softcapping"] = 30.0;
  EXPECT_NE(error_of(config).find("'moe_router_logit_softcapping' is 30"), std::string::npos);
}

TEST(FamilyKeys, TheSharedExpertMayCountAHalf) {
  json config = of_family("cohere2_moe", experts());
  config["norm_topk_prob"] = false;
  const Experts averaged = read(config).experts;
  EXPECT_EQ(averaged.scale, 0.5f);
  EXPECT_EQ(averaged.shared_scale, 0.5f);
  EXPECT_EQ(averaged.score, Experts::Score::softmax);
  EXPECT_TRUE(averaged.normalize);  // a softmax over the chosen
  config.update({{"shared_expert_combination_strategy", "sum"}, {"expert_selection_fn", "sigmoid"}});
  const Experts summed = read(config).experts;
  EXPECT_EQ(summed.scale, 1.0f);
  EXPECT_EQ(summed.shared_scale, 1.0f);
  EXPECT_EQ(summed.score, Experts::Score::sigmoid);
  EXPECT_FALSE(summed.normalize);
  config["shared_expert_combination_strategy"] = "most";
  EXPECT_NE(error_of(config).find("is 'most', expected average or sum"), std::string::npos);
  config["expert_selection_fn"] = "argmax";
  EXPECT_NE(error_of(config).find("is 'argmax', expected softmax or sigmoid"), std::string::npos);
}

TEST(FamilyKeys, NormsMayBeOfEitherKind) {
  json config = of_family("cohere2_moe", experts());
  config.update({{"layer_norm_eps", 0.25}, {"rms_norm_eps", nullptr}});
  EXPECT_EQ(read(config).norm_kind, NormKind::layer);
  EXPECT_EQ(read(config).norm_epsilon, 0.25f);
  config["rms_norm_eps"] = 0.5;
  EXPECT_EQ(read(config).norm_kind, NormKind::rms);
  EXPECT_EQ(read(config).norm_epsilon, 0.5f);
}

/// By block: w for a window, r for a rotary embedding, d for a dense part.
std::vector<std::string> kinds_of(const json& config) {
  const Architecture a = read(config);
  std::vector<std::string> kinds;
  for (std::size_t b = 0; b < a.blocks; ++b)
    kinds.push_back(std::string(a.attention[b].window != 0 ? "w" : "") + (a.attention[b].rope != kNoRope ? "r" : "") +
                    (a.layout[b].mixture ? "" : "d"));
  return kinds;
}

TEST(FamilyKeys, DenseBlocksBeforeTheExpertsHaveWindowsByARuleOfTheirOwn) {
  json config = of_family("cohere2_moe", experts());
  config.update({{"num_hidden_layers", 6}, {"first_k_dense_replace", 2}, {"sliding_window_pattern", 3}});
  EXPECT_EQ(kinds_of(config), (std::vector<std::string>{"rd", "rd", "wr", "wr", "", "wr"}));
  config["prefix_dense_sliding_window_pattern"] = 2;
  EXPECT_EQ(kinds_of(config), (std::vector<std::string>{"wrd", "d", "wr", "wr", "", "wr"}));
  EXPECT_EQ(read(config).intermediate, 96u);
  config["prefix_dense_intermediate_size"] = 48;
  EXPECT_EQ(read(config).intermediate, 48u);
  EXPECT_EQ(read(config).experts.intermediate, 96u);
}

TEST(FamilyKeys, WindowsBesideConvolutionsAreLfm3s) {
  json config = of_family("lfm3", {{"num_hidden_layers", 5}});
  const Architecture a = read(config);
  EXPECT_EQ(a.attention[0].mixer, Mixer::convolution);
  EXPECT_EQ(a.attention[2].mixer, Mixer::attention);
  EXPECT_EQ(a.attention[2].window, 0u);
  EXPECT_EQ(a.attention[4].mixer, Mixer::attention);
  EXPECT_EQ(a.attention[4].window, 256u);
  EXPECT_EQ(a.convolution.kernel, 7u);
  config["use_attention_gate"] = false;
  EXPECT_NE(error_of(config).find("'use_attention_gate' is false"), std::string::npos);
  config = of_family("lfm2", {{"layer_types", {"conv", "conv", "conv", "sliding_attention"}}});
  EXPECT_NE(error_of(config).find("names 'sliding_attention', expected conv or full_attention"), std::string::npos);
}

}  // namespace family_keys_test
}  // namespace strata::model
