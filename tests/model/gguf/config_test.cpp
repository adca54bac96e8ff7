// Tests the names of tensors in both kinds of file, and models that GGUF files cannot hold.
#include "model/gguf/config.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "format/gguf_write.h"
#include "model/gguf/check.h"
#include "model/gguf/config.h"
#include "model/gguf/names.h"
#include "support/temporary_folder.h"

namespace strata::model {
namespace config_test {

TEST(GgufNames, GoBothWays) {
  const Names names;
  for (const auto& [gguf, hf] : {std::pair{"token_embd.weight", "model.embed_tokens.weight"},
                                 {"output_norm.weight", "model.norm.weight"},
                                 {"output_norm.bias", "model.norm.bias"},
                                 {"output.weight", "lm_head.weight"},
                                 {"output.bias", "lm_head.bias"},
                                 {"blk.3.attn_q.bias", "model.layers.3.self_attn.q_proj.bias"},
                                 {"blk.0.ffn_down.weight", "model.layers.0.mlp.down_proj.weight"},
                                 {"blk.12.ffn_norm.weight", "model.layers.12.post_attention_layernorm.weight"}}) {
    EXPECT_EQ(hf_tensor_name(names, gguf), hf);
    EXPECT_EQ(gguf_tensor_name(names, hf), gguf);
  }
  for (const char* other : {"blk.3.attn_q", "blk.3.rope.weight", "token_embd.bias", "blk.3.post_ffw_norm.weight"})
    EXPECT_EQ(hf_tensor_name(names, other), std::nullopt) << other;
}

TEST(GgufNames, FollowTheNormsOfTheFamily) {
  const Names names{{.after_attention = "post_attention_layernorm",
                     .before_feed_forward = "pre_feedforward_layernorm",
                     .after_feed_forward = "post_feedforward_layernorm"}};
  EXPECT_EQ(hf_tensor_name(names, "blk.1.ffn_norm.weight"), "model.layers.1.pre_feedforward_layernorm.weight");
  EXPECT_EQ(gguf_tensor_name(names, "model.layers.1.post_attention_layernorm.weight"),
            "blk.1.post_attention_norm.weight");
}

TEST(GgufParts, WhatNoKeySaysIsRefused) {
  const Architecture plain = parse_architecture(
      json::parse(R"({"model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
        "num_attention_heads": 4, "vocab_size": 100})"),
      "config.json");
  EXPECT_NO_THROW(check_gguf_parts(plain, "model"));
  Architecture a = plain;
  a.norm_offset = 1.0f;
  EXPECT_THROW(check_gguf_parts(a, "model"), Error);
  a = plain;
  a.scales.attention *= 0.5f;
  EXPECT_THROW(check_gguf_parts(a, "model"), Error);
  a = plain;
  a.ropes.push_back(a.ropes.front());
  EXPECT_THROW(check_gguf_parts(a, "model"), Error);
  a = plain;
  a.model_type = "other";
  EXPECT_THROW(check_gguf_parts(a, "model"), Error);
}

TEST(GgufConfig, AnIdOfNoTokenIsNone) {
  const auto config = [](const auto& padding) {
    const TemporaryFolder folder;
    format::GgufKeys keys;
    keys.add("general.architecture", "llama");
    for (const char* key :
         {"embedding_length", "feed_forward_length", "block_count", "context_length", "attention.head_count"})
      keys.add(fmt::format("llama.{}", key), std::uint32_t{8});
    keys.add("llama.attention.layer_norm_rms_epsilon", 1e-5f);
    keys.add("tokenizer.ggml.eos_token_id", std::uint32_t{2});
    keys.add("tokenizer.ggml.padding_token_id", padding);
    const format::GgufLayout layout = format::lay_out_gguf(std::move(keys), {{"token_embd.weight", 0, {4, 8}}});
    format::GgufWriter writer(folder / "m.gguf", layout);
    const std::vector<float> values(32);
    writer.write(std::as_bytes(std::span(values)));
    writer.commit();
    return config_from_gguf(format::GgufFile::open(folder / "m.gguf"), "m.gguf");
  };
  EXPECT_EQ(config(std::uint32_t{3})["pad_token_id"], 3);
  EXPECT_FALSE(config(std::uint32_t{4}).contains("pad_token_id")) << "there are four tokens";
  EXPECT_FALSE(config(std::int32_t{-1}).contains("pad_token_id"));
  EXPECT_FALSE(config(std::uint32_t{0xFFFFFFFF}).contains("pad_token_id"));
  EXPECT_EQ(config(std::int32_t{-1})["eos_token_id"], 2);
}

}  // namespace config_test
}  // namespace strata::model
