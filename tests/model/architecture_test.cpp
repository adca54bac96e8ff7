// Tests config.json as hostile input, and what a family's row makes of it.
// The engine's goldens test numerical behaviour.
#include "model/architecture.h"

#include <gtest/gtest.h>

#include "model/families.h"
#include "support/error_of.h"

namespace strata::model {
namespace architecture_test {

json llama() {
  return json::parse(R"({"model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100, "tie_word_embeddings": true})");
}

std::string error_of(const json& config) {
  return ::strata::error_of([&] { parse_architecture(config, "config.json"); });
}

TEST(Architecture, ListsLinearsAndFusionGroups) {
  const Architecture a = parse_architecture(llama(), "config.json");
  ASSERT_EQ(a.linears.size(), 14u);
  ASSERT_EQ(a.groups.size(), 8u);
  EXPECT_EQ(a.linears[1].module, "model.layers.0.self_attn.k_proj");
  EXPECT_EQ(a.linears[1].rows, 32u);
  EXPECT_EQ(a.groups[0].linears, (std::vector<std::size_t>{0, 1, 2}));
  EXPECT_EQ(a.groups[2].linears, (std::vector<std::size_t>{4, 5}));
  EXPECT_EQ(a.block_linear_weights(), 2u * (64 * 64 + 2 * 32 * 64 + 64 * 64 + 3 * 64 * 96));
  EXPECT_EQ(a.linear(1, Role::down).module, "model.layers.1.mlp.down_proj");
}

TEST(Architecture, AnUntiedHeadIsALinearOfItsOwn) {
  json config = llama();
  config["tie_word_embeddings"] = false;
  const Architecture a = parse_architecture(config, "config.json");
  EXPECT_EQ(a.linears.back().module, "lm_head");
  EXPECT_EQ(a.linears.back().block, kNoBlock);
}

TEST(Architecture, APartThatTheEngineLacksIsRefusedByItsKey) {
  json config = llama();
  config["model_type"] = "stablelm";
  EXPECT_TRUE(parse_architecture(config, "config.json").norm_bias);
  for (const char* key : {"use_parallel_residual", "qk_layernorm"}) {
    json other = config;
    other[key] = true;
    EXPECT_EQ(error_of(other), fmt::format("config.json: '{}' is true, and what stablelm models compute then is not "
                                           "computed here",
                                           key));
  }
}

TEST(Architecture, AFamilyMaySpellKeysItsOwnWay) {
  json config = llama();
  config["model_type"] = "exaone";
  config.erase("num_hidden_layers");
  config["num_layers"] = 3;
  EXPECT_EQ(parse_architecture(config, "config.json").blocks, 3u);
  config["num_hidden_layers"] = 2;  // the usual spelling counts where both are there
  EXPECT_EQ(parse_architecture(config, "config.json").blocks, 2u);
}

TEST(Architecture, AModelThatSpeaksTooIsReadByItsThinker) {
  json text = llama();
  text["model_type"] = "qwen2_5_omni_text";
  const json thinker = {{"model_type", "qwen2_5_omni_thinker"}, {"text_config", text}};
  const json whole = {{"model_type", "qwen2_5_omni"},
                      {"talker_config", {{"text_config", {{"hidden_size", 1}}}}},
                      {"thinker_config", thinker}};
  EXPECT_EQ(parse_architecture(whole, "config.json").linears.size(),
            parse_architecture(llama(), "config.json").linears.size());
}

TEST(Architecture, AWrappersTextPartMayLeaveOutTheSizesOfItsClass) {
  json text = {{"model_type", "llama"}, {"vocab_size", 32064}, {"rms_norm_eps", 1e-5}};  // as of llava-1.5-7b-hf
  const Architecture a = parse_architecture({{"model_type", "llava"}, {"text_config", text}}, "config.json");
  EXPECT_EQ(a.hidden, 4096u);
  EXPECT_EQ(a.blocks, 32u);
  EXPECT_EQ(a.kv_heads, 32u);
  EXPECT_EQ(a.intermediate, 11008u);
  EXPECT_EQ(a.vocab, 32064u);
  EXPECT_NE(error_of(text).find("'hidden_size'"), std::string::npos) << error_of(text);
  text["model_type"] = "mistral";
  const Architecture b = parse_architecture({{"model_type", "llava_next"}, {"text_config", text}}, "config.json");
  EXPECT_EQ(b.kv_heads, 8u);
  EXPECT_EQ(b.attention[0].window, 4096u);
  text["sliding_window"] = nullptr;
  EXPECT_EQ(parse_architecture({{"text_config", text}}, "config.json").attention[0].window, 0u);
}

TEST(Architecture, FalconsBlocksAreOfThreeKinds) {
  json config = {{"model_type", "falcon"},
                 {"hidden_size", 64},
                 {"num_hidden_layers", 1},
                 {"num_attention_heads", 4},
                 {"vocab_size", 100}};
  const Architecture first = parse_architecture(config, "config.json");
  EXPECT_EQ(first.kv_heads, 1u);
  EXPECT_EQ(first.intermediate, 256u);
  EXPECT_TRUE(first.parallel);
  EXPECT_EQ(first.names.before_attention, "input_layernorm");
  EXPECT_FALSE(first.has(Norm::before_feed_forward));
  config.update({{"new_decoder_architecture", true}, {"num_kv_heads", 2}});
  const Architecture later = parse_architecture(config, "config.json");
  EXPECT_EQ(later.kv_heads, 2u);
  EXPECT_EQ(later.names.before_attention, "ln_attn");
  EXPECT_EQ(later.names.before_feed_forward, "ln_mlp");
  config["num_ln_in_parallel_attn"] = 1;
  EXPECT_FALSE(parse_architecture(config, "config.json").has(Norm::before_feed_forward));
  config["parallel_attn"] = false;
  EXPECT_NE(error_of(config).find("'parallel_attn' is false"), std::string::npos);
  config.update({{"new_decoder_architecture", false}, {"multi_query", false}});
  const Architecture serial = parse_architecture(config, "config.json");
  EXPECT_EQ(serial.kv_heads, 4u);
  EXPECT_FALSE(serial.parallel);
  EXPECT_EQ(serial.names.before_feed_forward, "post_attention_layernorm");
  config["alibi"] = true;
  EXPECT_NE(error_of(config).find("'alibi' is true"), std::string::npos);
}

TEST(Architecture, AHeadMayHaveABias) {
  json config = llama();
  config.update({{"model_type", "phi"}, {"tie_word_embeddings", false}});
  const Architecture a = parse_architecture(config, "config.json");
  EXPECT_TRUE(a.linears[a.lm_head()].bias);
  config["tie_word_embeddings"] = true;
  EXPECT_NE(error_of(config).find("has a bias"), std::string::npos);
}

TEST(Architecture, AMixtureMayHaveNoSharedExpertAfterAll) {
  json config = llama();
  config.update({{"model_type", "granitemoeshared"}, {"num_local_experts", 4}, {"num_experts_per_tok", 2}});
  EXPECT_EQ(parse_architecture(config, "config.json").experts.shared_intermediate, 0u);
  config["shared_intermediate_size"] = 48;
  EXPECT_EQ(parse_architecture(config, "config.json").experts.shared_intermediate, 48u);
}

json phimoe() {
  json config = llama();
  config.update({{"model_type", "phimoe"}, {"num_local_experts", 4}, {"num_experts_per_tok", 2}});
  config["rope_scaling"] = {{"type", "longrope"},   {"short_factor", std::vector<double>(8, 1.0)},
                            {"short_mscale", 1.25}, {"long_factor", std::vector<double>(8, 2.0)},
                            {"long_mscale", 1.5},   {"original_max_position_embeddings", 64}};
  return config;
}

TEST(Architecture, MagnitudesOfARotaryEmbeddingMayBeGiven) {
  json config = phimoe();
  const Rope rope = parse_architecture(config, "config.json").ropes[0];
  EXPECT_EQ(attention_factor(rope, 63), 1.25);
  EXPECT_EQ(attention_factor(rope, 64), 1.5);
  config["rope_scaling"].erase("long_mscale");
  EXPECT_NE(error_of(config).find("'long_mscale' of the rotary embedding is missing"), std::string::npos);
  config = phimoe();
  config["rope_scaling"]["type"] = "linear";
  EXPECT_NE(error_of(config).find("with rope type longrope alone"), std::string::npos);
  config.erase("rope_scaling");
  EXPECT_EQ(attention_factor(parse_architecture(config, "config.json").ropes[0], 64), 1.0);
}

TEST(Architecture, SparseScoresAreOfTwoExpertsAndAShareOfTheBest) {
  json config = phimoe();
  EXPECT_EQ(parse_architecture(config, "config.json").experts.nearness, 0.02f);
  config["router_jitter_noise"] = 0.25;
  EXPECT_EQ(parse_architecture(config, "config.json").experts.nearness, 0.5f);
  config["router_jitter_noise"] = -1;
  EXPECT_NE(error_of(config).find("'router_jitter_noise' is -1"), std::string::npos);
  config = phimoe();
  config["num_experts_per_tok"] = 3;
  EXPECT_NE(error_of(config).find("'num_experts_per_tok' is 3"), std::string::npos);
}

TEST(Architecture, AlphaOfADynamicScalingStretchesTheBase) {
  json config = llama();
  config["rope_scaling"] = {{"type", "dynamic"}, {"alpha", 1000.0}, {"factor", 1.0}};
  EXPECT_EQ(parse_architecture(config, "config.json").ropes[0].theta, 10000.0) << "only where the family has it";
  config["model_type"] = "hunyuan_v1_dense";
  const Architecture a = parse_architecture(config, "config.json");
  EXPECT_DOUBLE_EQ(a.ropes[0].theta, 10000.0 * std::pow(1000.0, 16.0 / 14.0));
  EXPECT_EQ(a.ropes[0].scaling, Rope::Scaling::none);
  config["rope_scaling"]["alpha"] = -1;
  EXPECT_NE(error_of(config).find("'alpha'"), std::string::npos);
}

TEST(Architecture, ExpertsMayBeListedByBlockWhereAllAreAlike) {
  json config = llama();
  config.update({{"model_type", "hunyuan_v1_moe"},
                 {"num_experts", 4},
                 {"moe_topk", {2, 2}},
                 {"moe_intermediate_size", {48, 48}},
                 {"num_shared_expert", {1, 1}}});
  const Architecture a = parse_architecture(config, "config.json");
  EXPECT_EQ(a.experts.used, 2u);
  EXPECT_EQ(a.experts.intermediate, 48u);
  EXPECT_EQ(a.experts.shared_intermediate, 48u);
  config["moe_topk"] = {2, 1};
  EXPECT_EQ(error_of(config),
            "config.json: 'moe_topk' is [2,1]; experts that differ from block to block are not supported");
}

TEST(Architecture, QkvMayHoldOneKeyHeadAfterAnother) {
  json config = llama();
  config["model_type"] = "internlm2";
  const Architecture a = parse_architecture(config, "config.json");
  EXPECT_EQ(a.linears[0].module, "model.layers.0.attention.wqkv");
  EXPECT_EQ(a.linears[0].rows, 64u + 2 * 32);
  EXPECT_EQ(a.qkv_stretches(0), 2u);
}

json qwen3_moe() {
  json config = llama();
  config.update({{"model_type", "qwen3_moe"},
                 {"num_hidden_layers", 3},
                 {"num_experts", 4},
                 {"num_experts_per_tok", 2},
                 {"moe_intermediate_size", 48},
                 {"mlp_only_layers", {1}}});
  return config;
}

TEST(Architecture, TheExpertsOfABlockAreOneGroup) {
  const Architecture a = parse_architecture(qwen3_moe(), "config.json");
  ASSERT_EQ(a.layout.size(), 3u);
  EXPECT_TRUE(a.layout[0].mixture);
  EXPECT_FALSE(a.layout[1].mixture);
  EXPECT_EQ(a.block_linears(0).size(), 4u + 3u * 4u);
  EXPECT_EQ(a.block_linears(1).size(), 7u);
  const Linear& down = a.linear(2, Role::down, 3);
  EXPECT_EQ(down.module, "model.layers.2.mlp.experts.3.down_proj");
  EXPECT_EQ(down.expert, 3u);
  EXPECT_EQ(down.cols, 48u);
  EXPECT_EQ(a.groups[down.group].name, "model.layers.2.mlp.experts");
  EXPECT_EQ(a.groups[down.group].linears.size(), 12u);
  EXPECT_EQ(a.linear(1, Role::down).module, "model.layers.1.mlp.down_proj");
  for (std::size_t b = 0; b < a.blocks; ++b)
    for (const Linear& linear : a.block_linears(b)) EXPECT_EQ(&a.linear(b, linear.role, linear.expert), &linear);
}

TEST(Architecture, ASharedExpertIsFusedAsADenseBlockIs) {
  json config = qwen3_moe();
  config.update({{"model_type", "qwen2_moe"}, {"shared_expert_intermediate_size", 80}});
  const Architecture a = parse_architecture(config, "config.json");
  const Linear& up = a.linear(0, Role::up, kSharedExpert);
  EXPECT_EQ(up.module, "model.layers.0.mlp.shared_expert.up_proj");
  EXPECT_EQ(a.groups[up.group].linears.size(), 2u);
  EXPECT_FALSE(up.routed());
  EXPECT_EQ(a.linear(0, Role::gate, 0).module, "model.layers.0.mlp.experts.0.gate_proj");
}

TEST(Architecture, AbsurdExpertsAreRefusedByName) {
  for (const char* key : {"num_experts", "num_experts_per_tok", "moe_intermediate_size"})
    for (const json& value : {json(0), json(-1), json(1u << 23), json("8"), json()}) {
      json config = qwen3_moe();
      config[key] = value;
      EXPECT_NE(error_of(config).find(std::string_view(key) == "moe_intermediate_size" ? "" : key), std::string::npos)
          << key << " = " << value;
      EXPECT_NE(error_of(config), "") << key << " = " << value;
    }
  json config = qwen3_moe();
  config.update({{"model_type", "glm4_moe"}, {"n_routed_experts", 4}, {"n_shared_experts", 1}, {"n_group", 3}});
  EXPECT_NE(error_of(config).find("n_group"), std::string::npos);
  config["n_group"] = 2;
  EXPECT_EQ(error_of(config), "");
  config["partial_rotary_factor"] = 1.5;
  EXPECT_NE(error_of(config).find("partial_rotary_factor"), std::string::npos);
}

TEST(Architecture, AnUnknownModelTypeListsTheKnown) {
  json config = llama();
  config["model_type"] = "rwkv";
  EXPECT_NE(error_of(config).find("llama, mistral, qwen2, qwen3"), std::string::npos);
}

TEST(Architecture, AbsurdValuesAreRefusedByName) {
  for (const char* key : {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size",
                          "num_key_value_heads"})
    for (const json& value : {json(0), json(-1), json(1ull << 60), json("8"), json(1.5), json::array()}) {
      json config = llama();
      config[key] = value;
      EXPECT_NE(error_of(config).find(key), std::string::npos) << key << " = " << value;
    }
  for (const char* key : {"hidden_size", "intermediate_size", "num_hidden_layers", "model_type", "vocab_size"}) {
    json config = llama();
    config.erase(key);
    EXPECT_NE(error_of(config).find(key), std::string::npos) << key;
  }
}

TEST(Architecture, ErrorsNameKeysAsTheFamilysFilesDo) {
  const json config = {{"model_type", "gpt2"}, {"n_embd", 64}, {"n_layer", 2}, {"n_head", "8"}, {"vocab_size", 100}};
  EXPECT_NE(error_of(config).find("'num_attention_heads' is called 'n_head' in files of gpt2"), std::string::npos)
      << error_of(config);
}

TEST(Architecture, WhatTheEngineCannotDoIsRefused) {
  json config = llama();
  config["rope_scaling"] = {{"rope_type", "by parts"}, {"factor", 4.0}};
  EXPECT_NE(error_of(config).find("by parts"), std::string::npos);
  config = llama();
  config["hidden_act"] = "relu";
  EXPECT_NE(error_of(config).find("relu"), std::string::npos);
  config = llama();
  config["num_key_value_heads"] = 3;
  EXPECT_NE(error_of(config).find("heads"), std::string::npos);
  config = llama();
  config["head_dim"] = 7;
  EXPECT_NE(error_of(config).find("head_dim"), std::string::npos);
  EXPECT_NE(error_of(json::array()), "");
}

std::vector<std::size_t> windows_of(const json& config) {
  std::vector<std::size_t> windows;
  for (const BlockAttention& block : parse_architecture(config, "c").attention) windows.push_back(block.window);
  return windows;
}

TEST(Architecture, SlidingWindowsFollowTheFamily) {
  json config = llama();
  config["model_type"] = "mistral";
  config["sliding_window"] = 16;
  EXPECT_EQ(windows_of(config), (std::vector<std::size_t>{16, 16}));
  config["sliding_window"] = nullptr;
  EXPECT_EQ(windows_of(config), (std::vector<std::size_t>{0, 0}));
  config["model_type"] = "qwen2";
  config["sliding_window"] = 16;
  EXPECT_EQ(windows_of(config), (std::vector<std::size_t>{0, 0}));
  config["use_sliding_window"] = true;
  config["max_window_layers"] = 1;
  EXPECT_EQ(windows_of(config), (std::vector<std::size_t>{0, 16}));
}

}  // namespace architecture_test
}  // namespace strata::model
