// Tests the names of tensors in both kinds of file, and models that GGUF files cannot hold.
#include "model/gguf/config.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace strata::model {
namespace {

TEST(GgufNames, GoBothWays) {
  const TensorNames names;
  for (const auto& [gguf, hf] : {std::pair{"token_embd.weight", "model.embed_tokens.weight"},
                                 {"output_norm.weight", "model.norm.weight"},
                                 {"output.weight", "lm_head.weight"},
                                 {"blk.3.attn_q.bias", "model.layers.3.self_attn.q_proj.bias"},
                                 {"blk.0.ffn_down.weight", "model.layers.0.mlp.down_proj.weight"},
                                 {"blk.12.ffn_norm.weight", "model.layers.12.post_attention_layernorm.weight"}}) {
    EXPECT_EQ(hf_tensor_name(names, gguf), hf);
    EXPECT_EQ(gguf_tensor_name(names, hf), gguf);
  }
  for (const char* other : {"blk.3.attn_q", "blk.3.rope.weight", "output.bias", "blk.3.post_ffw_norm.weight"})
    EXPECT_EQ(hf_tensor_name(names, other), std::nullopt) << other;
}

TEST(GgufNames, FollowTheNormsOfTheFamily) {
  const TensorNames names{.after_attention = "post_attention_layernorm",
                          .before_feed_forward = "pre_feedforward_layernorm",
                          .after_feed_forward = "post_feedforward_layernorm"};
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

}  // namespace
}  // namespace strata::model
