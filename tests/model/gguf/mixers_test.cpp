// Keys of mixers in GGUF files: what a model of each kind has comes back, and what a key or llama.cpp cannot say is
// refused by name.
#include "model/gguf/mixers.h"

#include <gtest/gtest.h>

#include "model/gguf/check.h"
#include "model/gguf/config.h"
#include "support/error_of.h"

namespace strata::model {
namespace gguf_mixers_test {

constexpr const char* kSizes = R"({"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4,
  "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100, "head_dim": 16, "moe_intermediate_size": 32,
  "n_routed_experts": 8, "num_experts_per_tok": 2, "rms_norm_eps": 1e-6, "tie_word_embeddings": false})";

Architecture made(const char* changes) {
  json config = json::parse(kSizes);
  config.update(json::parse(changes));
  if (find_family(config["model_type"].get<std::string>())->mixture == nullptr) config.erase("n_routed_experts");
  return parse_architecture(config, "config.json");
}

/// Why a model's file is refused; empty when it is not.
std::string refused(const char* changes) {
  return error_of([&] { check_gguf_parts(made(changes), "model"); });
}

constexpr const char* kLatent = R"({"model_type": "deepseek_v3", "q_lora_rank": 24, "kv_lora_rank": 16,
  "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 12, "n_group": 4, "topk_group": 2})";

TEST(GgufMixers, WhatKeysSayIsKept) {
  EXPECT_EQ(refused(R"({"model_type": "qwen3_5_text"})"), "");
  EXPECT_EQ(refused(R"({"model_type": "qwen3_5_text", "full_attention_interval": 3, "linear_num_value_heads": 48,
    "linear_conv_kernel_dim": 3, "rope_parameters": {"mrope_section": [2, 1, 1], "rope_type": "default"}})"),
            "");
  EXPECT_EQ(refused(kLatent), "");
  EXPECT_EQ(refused(R"({"model_type": "lfm2", "layer_types": ["conv", "full_attention", "conv", "conv"],
    "conv_L_cache": 4})"),
            "");
  EXPECT_EQ(
      refused(
          R"({"model_type": "mamba", "intermediate_size": 128, "state_size": 6, "conv_kernel": 3, "time_step_rank": 5})"),
      "");
  EXPECT_EQ(refused(R"({"model_type": "falcon_mamba", "intermediate_size": 128, "layer_norm_epsilon": 1e-4,
    "mixer_rms_eps": 1e-4})"),
            "");
}

TEST(GgufMixers, WhatNoKeySaysIsRefusedByName) {
  const auto expect = [](const char* changes, const char* piece) {
    const std::string error = refused(changes);
    EXPECT_NE(error.find(piece), std::string::npos) << changes << error;
  };
  expect(R"({"model_type": "qwen3_5_text", "layer_types": ["linear_attention", "full_attention", "full_attention",
    "full_attention"]})",
         "'layer_types'");
  expect(R"({"model_type": "qwen3_5_text", "linear_value_head_dim": 64})",
         "heads of 128 for keys and of 64 for values");
  expect(R"({"model_type": "qwen3_5_text", "attention_bias": true})", "biases of o");
  expect(R"({"model_type": "lfm2", "conv_bias": true})", "'conv_bias'");
  expect(R"({"model_type": "mamba"})", "an inner size of 96");
  expect(R"({"model_type": "mamba", "intermediate_size": 128, "use_bias": true})", "'use_bias'");
  expect(R"({"model_type": "mamba", "intermediate_size": 128, "use_conv_bias": false})", "'use_conv_bias'");
  expect(R"({"model_type": "falcon_mamba", "intermediate_size": 128, "layer_norm_epsilon": 1e-4})", "'mixer_rms_eps'");
  json latent = json::parse(kLatent);
  const auto expect_latent = [&](const json& changes, const char* piece) {
    json config = latent;
    config.update(changes);
    expect(config.dump().c_str(), piece);
  };
  expect_latent({{"q_lora_rank", nullptr}}, "no 'q_lora_rank' and 4 blocks");
  expect_latent({{"num_hidden_layers", 27}}, "a 'q_lora_rank' and 27 blocks");
  expect_latent({{"num_hidden_layers", 26}}, "a 'q_lora_rank' and 26 blocks");
  expect_latent({{"n_shared_experts", 0}}, "no shared expert");
  expect_latent({{"rope_interleave", false}}, "which dimensions are rotated");
  const json yarn = {{"type", "yarn"}, {"factor", 4}, {"original_max_position_embeddings", 4096}};
  const auto with = [&](const json& changes) {
    json scaling = yarn;
    scaling.update(changes);
    return json{{"rope_scaling", scaling}};
  };
  expect_latent(with({{"mscale", 1.5}, {"mscale_all_dim", 0.5}}), "'attention_factor'");
  expect_latent(with({{"mscale", 1.0}, {"mscale_all_dim", 1.0}, {"beta_fast", 2}}), "'beta_fast'");
  json config = latent;
  config.update(with({{"mscale", 0.707}, {"mscale_all_dim", 0.707}}));
  EXPECT_EQ(refused(config.dump().c_str()), "");
}

/// config.json of a file with the keys of a qwen35 model, some of them others.
json config_of(const std::map<std::string, std::uint32_t>& changes) {
  std::map<std::string, std::uint32_t> numbers = {
      {"embedding_length", 64},     {"feed_forward_length", 96}, {"block_count", 4},
      {"context_length", 128},      {"attention.head_count", 4}, {"attention.head_count_kv", 2},
      {"attention.key_length", 16}, {"ssm.conv_kernel", 4},      {"ssm.state_size", 16},
      {"ssm.group_count", 2},       {"ssm.time_step_rank", 4},   {"ssm.inner_size", 64}};
  for (const auto& [key, value] : changes) numbers[key] = value;
  format::GgufKeys keys;
  keys.add("general.architecture", "qwen35");
  for (const auto& [key, value] : numbers) keys.add("qwen35." + key, value);
  keys.add("qwen35.attention.layer_norm_rms_epsilon", 1e-6f);
  keys.add("qwen35.rope.dimension_sections", std::vector<std::int32_t>{11, 11, 10, 0});
  const std::string header = format::lay_out_gguf(std::move(keys), {}).header;
  format::GgufContent content = format::parse_gguf(std::as_bytes(std::span(header)), "m.gguf");
  content.tensors.push_back({"token_embd.weight", 0, {40, 64}, {}});
  return config_from_gguf(format::GgufFile(std::move(content), "m.gguf"), "m.gguf");
}

TEST(GgufMixers, KeysOfAFileAreChecked) {
  EXPECT_EQ(config_of({})["linear_value_head_dim"], 16);
  EXPECT_EQ(config_of({})["full_attention_interval"], 4) << "what llama.cpp takes without the key";
  EXPECT_EQ(config_of({{"nextn_predict_layers", 1}})["num_hidden_layers"], 3);
  for (const auto& [key, value, piece] : {std::tuple{"ssm.time_step_rank", 0u, "ssm.time_step_rank 0"},
                                          {"ssm.inner_size", 65u, "ssm.inner_size 65 is not a multiple of"},
                                          {"attention.head_count", 0u, "attention.head_count is 0"},
                                          {"nextn_predict_layers", 4u, "nextn_predict_layers is 4 of 4 blocks"}}) {
    const std::string error = error_of([&, key = key, value = value] { config_of({{key, value}}); });
    EXPECT_NE(error.find(piece), std::string::npos) << error;
  }
}

}  // namespace gguf_mixers_test
}  // namespace strata::model
