// Models with Mamba-2 in GGUF files: under which name llama.cpp has them, what comes back, and what is refused by name.
#include "model/gguf/mamba.h"

#include <gtest/gtest.h>

#include "model/gguf/check.h"
#include "model/gguf/config.h"
#include "support/error_of.h"

namespace strata::model {
namespace gguf_mamba_test {

constexpr const char* kGranite = R"({"model_type": "granitemoehybrid", "hidden_size": 64, "num_hidden_layers": 3,
  "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100, "rms_norm_eps": 1e-5, "intermediate_size": 32,
  "shared_intermediate_size": 48, "num_local_experts": 8, "num_experts_per_tok": 2, "mamba_n_heads": 8,
  "mamba_d_state": 16, "mamba_n_groups": 2, "layer_types": ["mamba", "attention", "mamba"], "logits_scaling": 4,
  "embedding_multiplier": 12, "residual_multiplier": 0.5, "attention_multiplier": 0.25})";
constexpr const char* kNemotron = R"({"model_type": "nemotron_h", "hidden_size": 64, "num_attention_heads": 4,
  "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 100, "intermediate_size": 96, "mamba_num_heads": 6,
  "mamba_head_dim": 16, "ssm_state_size": 16, "n_groups": 2, "n_routed_experts": 8, "num_experts_per_tok": 2,
  "moe_intermediate_size": 32, "moe_shared_expert_intermediate_size": 48, "hybrid_override_pattern": "M-M*-"})";

Architecture made(const char* base, const char* changes) {
  json config = json::parse(base);
  config.update(json::parse(changes));
  return parse_architecture(config, "config.json");
}

/// Why a model's file is refused; empty when it is not.
std::string refused(const Architecture& a) {
  return error_of([&] { check_gguf_parts(a, "model"); });
}

void expect(const char* base, const char* changes, std::string_view name) {
  const Architecture a = made(base, changes);
  EXPECT_EQ(gguf_family_of(a).name, name) << changes;
  EXPECT_EQ(refused(a), "") << changes;
}

TEST(GgufMamba, ModelsHaveTheNameThatLlamaCppHasForTheirParts) {
  expect(kGranite, "{}", "granitehybrid");
  expect(kGranite, R"({"position_embedding_type": "rope", "attention_bias": true})", "granitehybrid");
  expect(kGranite, R"({"num_local_experts": 0})", "granitehybrid");
  constexpr const char* kBlocksAttend =
      R"({"layer_types": ["attention", "attention", "attention"], "position_embedding_type": "rope"})";
  constexpr const char* kDenseAttend =
      R"({"layer_types": ["attention", "attention", "attention"], "num_local_experts": 0})";
  expect(kGranite, kBlocksAttend, "granitemoe");
  expect(kGranite, kDenseAttend, "granite");
  expect(kNemotron, "{}", "nemotron_h");
  expect(kNemotron, R"({"hybrid_override_pattern": "MEM*E", "n_group": 4, "topk_group": 2, "moe_latent_size": 16})",
         "nemotron_h_moe");
  expect(R"({"model_type": "mamba2", "hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 100, "num_heads": 8,
    "head_dim": 16, "state_size": 16, "n_groups": 2, "conv_kernel": 3})",
         "{}", "mamba2");
  expect(R"({"model_type": "bamba", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 100, "intermediate_size": 96, "mamba_n_heads": 8, "mamba_d_state": 16,
    "attn_layer_indices": [1]})",
         R"({"mlp_bias": true})", "granitehybrid");
}

TEST(GgufMamba, WhatNoKeySaysOrLlamaCppCannotLoadIsRefusedByName) {
  const auto expect_refused = [](const char* base, const char* changes, const char* piece) {
    const std::string error = refused(made(base, changes));
    EXPECT_NE(error.find(piece), std::string::npos) << changes << error;
  };
  expect_refused(kGranite, R"({"mamba_proj_bias": true})", "biases of what Mamba-2 reads");
  expect_refused(kGranite, R"({"mamba_conv_bias": false})", "no biases of Mamba-2's convolution");
  expect_refused(kGranite, R"({"mamba_n_heads": 4, "mamba_d_head": 16})", "4 heads of 16 in Mamba-2");
  expect_refused(kGranite, R"({"layer_types": ["mamba", "mamba", "mamba"]})", "no block of attention");
  expect_refused(kGranite, R"({"time_step_limit": [0.01, 0.1]})", "'time_step_limit'");
  expect_refused(kGranite, R"({"layer_types": ["attention", "attention", "attention"]})", "where there is a rotary");
  expect_refused(kNemotron, R"({"hybrid_override_pattern": "-*-"})", "no block of Mamba-2");
  expect_refused(kNemotron, R"({"hybrid_override_pattern": "M-*E"})", "a dense part in block 1");
  expect_refused(kNemotron, R"({"time_step_min": 0.01})", "'time_step_min'");
  expect_refused(kNemotron, R"({"mlp_bias": true})", "biases of gate, up and down");
}

/// config.json of a file with the keys of a Nemotron-H of four blocks, some numbers others.
json config_of(const std::map<std::string, std::uint32_t>& changes, std::vector<std::int32_t> kv_heads = {0, 0, 2, 0}) {
  std::map<std::string, std::uint32_t> numbers = {
      {"embedding_length", 64},     {"block_count", 4},     {"context_length", 128}, {"attention.head_count", 4},
      {"attention.key_length", 16}, {"ssm.conv_kernel", 4}, {"ssm.state_size", 16},  {"ssm.group_count", 2},
      {"ssm.time_step_rank", 4},    {"ssm.inner_size", 64}};
  for (const auto& [key, value] : changes) numbers[key] = value;
  format::GgufKeys keys;
  keys.add("general.architecture", "nemotron_h");
  for (const auto& [key, value] : numbers) keys.add("nemotron_h." + key, value);
  keys.add("nemotron_h.attention.layer_norm_rms_epsilon", 1e-5f);
  keys.add("nemotron_h.attention.head_count_kv", std::move(kv_heads));
  keys.add("nemotron_h.feed_forward_length", std::vector<std::int32_t>{0, 96, 0, 96});
  const std::string header = format::lay_out_gguf(std::move(keys), {}).header;
  format::GgufContent content = format::parse_gguf(std::as_bytes(std::span(header)), "m.gguf");
  content.tensors.push_back({"token_embd.weight", 0, {40, 64}, {}});
  return config_from_gguf(format::GgufFile(std::move(content), "m.gguf"), "m.gguf");
}

TEST(GgufMamba, KeysByBlockSayWhatBlocksAre) {
  const json config = config_of({});
  EXPECT_EQ(config["layers_block_type"], json({"mamba", "mlp", "attention", "mlp"}));
  EXPECT_EQ(config["num_key_value_heads"], 2);
  EXPECT_EQ(config["intermediate_size"], 96);
  EXPECT_EQ(config["mamba_head_dim"], 16);
  EXPECT_EQ(config["use_conv_bias"], false) << "no such tensor";
}

TEST(GgufMamba, KeysOfAFileAreChecked) {
  for (const auto& [key, value, piece] :
       {std::tuple{"ssm.time_step_rank", 0u, "nemotron_h.ssm.inner_size 64 is not a multiple of"},
        {"ssm.inner_size", 65u, "nemotron_h.ssm.inner_size 65 is not a multiple of"},
        {"block_count", 5u, "has 4 values for 5 blocks"},
        {"block_count", 4000000000u, "block_count is 4000000000, expected at most"}}) {
    const std::string error = error_of([&, key = key, value = value] { config_of({{key, value}}); });
    EXPECT_NE(error.find(piece), std::string::npos) << error;
  }
  const std::string error = error_of([] { config_of({}, {0, 0, 2}); });
  EXPECT_NE(error.find("head_count_kv has 3 values for 4 blocks"), std::string::npos) << error;
}

}  // namespace gguf_mamba_test
}  // namespace strata::model
