// What config.json says of blocks that differ: sizes of heads in both spellings, keys that are values, shared keys,
// wide dense parts, rows of tokens for blocks; and what is refused.
#include <gtest/gtest.h>

#include <cmath>

#include "model/model.h"
#include "support/tiny_model.h"

namespace strata::model {
namespace kinds_test {

using ::strata::golden_model;
using ::strata::fixtures::TinyModel;

json config_of(const char* golden) { return read_json_file(golden_model(golden) / "config.json"); }
Architecture parsed(const json& config) { return parse_architecture(config, "config.json"); }
std::string error_with(const json& changes) {
  json config = config_of("gemma4_text");
  config.update(changes);
  return ::strata::error_of([&] { parsed(config); });
}

TEST(Kinds, SizesOfHeadsDifferByBlockInBothSpellings) {
  json config = config_of("gemma4_text_moe");
  const Architecture a = parsed(config);
  EXPECT_EQ(a.q_size(0), 4u * 8);
  EXPECT_EQ(a.kv_size(0), 2u * 8);
  EXPECT_EQ(a.q_size(1), 4u * 16);
  EXPECT_EQ(a.kv_size(1), 1u * 16);
  EXPECT_EQ(a.q_size(), 4u * 16);
  EXPECT_EQ(a.linear(1, Role::o).cols, 4u * 16);
  EXPECT_EQ(a.cache_size(0), 2u * 16);
  config.erase("global_head_dim");
  config.erase("num_global_key_value_heads");
  config["per_layer_config"] = {{"1", {{"head_dim", 16}, {"num_key_value_heads", 1}}}};
  const Architecture b = parsed(config);
  for (std::size_t block = 0; block < a.blocks; ++block) {
    EXPECT_EQ(a.q_size(block), b.q_size(block));
    EXPECT_EQ(a.kv_size(block), b.kv_size(block));
  }
  EXPECT_EQ(a.ropes, b.ropes);
}

TEST(Kinds, ARotaryEmbeddingOfAllKindsFitsTheHeadsOfEach) {
  json config = config_of("gemma4_text_moe");
  config["rope_parameters"] = json::object();
  const Architecture a = parsed(config);
  for (const BlockAttention& of : a.attention) EXPECT_LE(a.ropes[of.rope].dims, a.head_size(of));
}

TEST(Kinds, BlocksWhoseKeysAreValuesHaveNoV) {
  const Architecture a = parsed(config_of("gemma4_text_moe"));
  EXPECT_TRUE(a.has(0, Role::v));
  EXPECT_FALSE(a.has(1, Role::v));
  EXPECT_EQ(a.groups[a.linear(1, Role::q).group].linears.size(), 2u);
}

TEST(Kinds, TheLastBlocksReadKeysOfTheLastOnesOfTheirKind) {
  json config = config_of("gemma4_text");
  config["num_hidden_layers"] = 6;
  config["layer_types"] = {"full_attention", "sliding_attention", "sliding_attention", "sliding_attention",
                           "full_attention", "sliding_attention"};  // the last block sees all, whatever is said
  config["num_kv_shared_layers"] = 3;
  const Architecture a = parsed(config);
  EXPECT_EQ(a.attention[2].keys_of, kOwnKeys);
  EXPECT_EQ(a.attention[3].keys_of, 2u);
  EXPECT_EQ(a.attention[4].keys_of, 0u);
  EXPECT_EQ(a.attention[5].keys_of, 0u);
  EXPECT_EQ(a.attention[5].window, 0u);
  EXPECT_EQ(a.shared_size, 2 * (a.kv_size(0) + a.kv_size(2)));
  EXPECT_EQ(a.attention[1].shared_at, kNotShared);
  EXPECT_NE(a.attention[0].shared_at, a.attention[2].shared_at);
  EXPECT_EQ(a.cache_size(3), 0u);
  EXPECT_FALSE(a.has(3, Role::k));
  EXPECT_FALSE(a.has(Norm::k, 3));
  EXPECT_EQ(a.groups[a.linear(3, Role::q).group].name, "model.layers.3.self_attn.q_proj");
  EXPECT_EQ(a.linear(2, Role::down).cols, 32u);
  EXPECT_EQ(a.linear(3, Role::down).cols, 64u);
}

TEST(Kinds, ProportionalRotationTurnsTheFirstPairsOfTheWholeHead) {
  const Architecture a = parsed(config_of("gemma4_text_moe"));
  const std::vector<double> frequencies = inverse_frequencies(a.ropes[a.attention[1].rope], 0);
  ASSERT_EQ(frequencies.size(), 8u);
  for (std::size_t i = 0; i < 8; ++i)
    EXPECT_DOUBLE_EQ(frequencies[i], i < 4 ? std::pow(1000.0, -static_cast<double>(2 * i) / 16) : 0.0) << i;
}

TEST(Kinds, WhatIsNotSupportedIsRefused) {
  EXPECT_NE(error_with({{"num_kv_shared_layers", 4}}).find("'num_kv_shared_layers' is 4"), std::string::npos);
  EXPECT_NE(error_with({{"num_kv_shared_layers", 3}}).find("none before 1 is of its kind"), std::string::npos);
  EXPECT_NE(error_with({{"use_bidirectional_attention", "all"}}).find("see those after them"), std::string::npos);
  EXPECT_NE(error_with({{"layer_types", {"a", "b", "c", "d"}}}).find("names 'a'"), std::string::npos);
  EXPECT_NE(error_with({{"layer_types", {"full_attention"}}}).find("1 entries for 4 blocks"), std::string::npos);
  EXPECT_NE(error_with({{"global_head_dim", 7}}).find("head_dim 7"), std::string::npos);
  EXPECT_NE(error_with({{"per_layer_config", {{"1", {{"hidden_size", 8}}}}}}).find("'hidden_size' is not supported"),
            std::string::npos);
  EXPECT_NE(error_with({{"sliding_window", nullptr}}).find("blocks of one kind"), std::string::npos);
  EXPECT_NE(error_with({{"per_layer_config", {{"1", {{"head_dim", 16}}}}}}).find("blocks of one kind"),
            std::string::npos);
  EXPECT_NE(error_with({{"hidden_size_per_layer_input", 1u << 24}}).find("too large"), std::string::npos);
  EXPECT_NE(error_with({{"vocab_size_per_layer_input", 0}}).find("vocab_size_per_layer_input"), std::string::npos);
}

TEST(Kinds, KeysThatABlockDoesNotReadAreCarried) {
  TinyModel tiny("gemma4_text");
  tiny.add("model.layers.2.self_attn.k_proj.weight", "BF16", {16, 32}, std::string(2 * 16 * 32, '\0'));
  tiny.add("model.layers.2.self_attn.k_norm.weight", "BF16", {8}, std::string(2 * 8, '\0'));
  const Model model = Model::open(tiny.path());
  ASSERT_EQ(model.carried().size(), 2u);
  EXPECT_EQ(model.carried()[0].name, "model.layers.2.self_attn.k_norm.weight");
  tiny.add("model.layers.2.self_attn.q_proj.bias", "BF16", {32}, std::string(2 * 32, '\0'));
  EXPECT_NE(::strata::error_of([&] { Model::open(tiny.path()); }).find("q_proj.bias"), std::string::npos);
}

}  // namespace kinds_test
}  // namespace strata::model
