// config.json as hostile input, and what a family's row makes of it.
// Numerical behaviour is tested through the engine's goldens.
#include "model/architecture.h"

#include <gtest/gtest.h>

#include "model/families.h"

namespace strata::model {
namespace {

json llama() {
  return json::parse(R"({"model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100, "tie_word_embeddings": true})");
}

std::string error_of(const json& config) {
  try {
    parse_architecture(config, "config.json");
  } catch (const Error& e) {
    return e.what();
  }
  return "";
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

TEST(Architecture, AnUnknownModelTypeListsTheKnown) {
  json config = llama();
  config["model_type"] = "mamba";
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

TEST(Architecture, WhatTheEngineCannotDoIsRefused) {
  json config = llama();
  config["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 4.0}};
  EXPECT_NE(error_of(config).find("yarn"), std::string::npos);
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

TEST(Architecture, SlidingWindowsFollowTheFamily) {
  json config = llama();
  config["model_type"] = "mistral";
  config["sliding_window"] = 16;
  EXPECT_EQ(parse_architecture(config, "c").window, (std::vector<std::size_t>{16, 16}));
  config["sliding_window"] = nullptr;
  EXPECT_EQ(parse_architecture(config, "c").window, (std::vector<std::size_t>{0, 0}));
  config["model_type"] = "qwen2";
  config["sliding_window"] = 16;
  EXPECT_EQ(parse_architecture(config, "c").window, (std::vector<std::size_t>{0, 0}));
  config["use_sliding_window"] = true;
  config["max_window_layers"] = 1;
  EXPECT_EQ(parse_architecture(config, "c").window, (std::vector<std::size_t>{0, 16}));
}

}  // namespace
}  // namespace strata::model
