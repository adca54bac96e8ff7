// The rows of families of dense blocks like another row's under other names: of tensors, of keys of config.json, or of
// the model_type alone.
// A row and a tiny model in tests/golden/models make a family.
#include "model/renamed_families.h"

#include <array>

#include "model/norm_places.h"

namespace strata::model {
namespace {

constexpr auto kRenamedFamilies = std::to_array<Family>({
    {.model_type = "hunyuan_v1_dense",
     .class_name = "HunYuanDenseV1ForCausalLM",
     .qk_norm = QkNorm::per_head,
     .qk_norm_turned = true,
     .default_norm_epsilon = 1e-5,
     .rope_alpha = true,
     .names = kHunyuanNames},
    {.model_type = "exaone",
     .class_name = "ExaoneForCausalLM",
     .qkv_bias = Bias::never,
     .o_bias = Bias::never,
     .norm_epsilon_key = "layer_norm_epsilon",
     .activation_key = "activation_function",
     .default_norm_epsilon = 1e-5,
     .default_tied = true,
     .names = {.embedding = "wte",
               .blocks = "h.",
               .attention = "attn.attention",
               .o = "out_proj",
               .gate = "c_fc_0",
               .up = "c_fc_1",
               .down = "c_proj",
               .before_attention = "ln_1",
               .before_feed_forward = "ln_2",
               .last_norm = "ln_f"},
     .spelled = R"({"num_hidden_layers": "num_layers"})"},
    {.model_type = "internlm2",
     .class_name = "InternLM2ForCausalLM",
     .qkv_bias_key = "bias",
     .o_bias_key = "bias",
     .qkv_by_key_heads = true,
     .names = {.embedding = "tok_embeddings",
               .head = "output",
               .attention = "attention",
               .o = "wo",
               .qkv = "wqkv",
               .feed_forward = "feed_forward",
               .gate = "w1",
               .up = "w3",
               .down = "w2",
               .before_attention = "attention_norm",
               .before_feed_forward = "ffn_norm"}},
    {.model_type = "minicpm3",
     .class_name = "MiniCPM3ForCausalLM",
     .mixer = Mixer::latent,
     .default_norm_epsilon = 1e-5,
     .default_tied = true,
     .scales = {.embedding = "scale_emb", .depth = "scale_depth", .width = "dim_model_base"},
     .defaults = R"({"q_lora_rank": 768, "kv_lora_rank": 256, "qk_nope_head_dim": 64, "qk_rope_head_dim": 32,
                     "v_head_dim": 64, "scale_emb": 12, "scale_depth": 1.4, "dim_model_base": 256})"},
    {.model_type = "youtu",
     .class_name = "YoutuForCausalLM",
     .mixer = Mixer::latent,
     .rope_interleaved = true,
     .default_tied = true,
     .defaults = R"({"q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
                     "v_head_dim": 128})"},
    {.model_type = "mimo",
     .class_name = "MiMoForCausalLM",
     .qkv_bias = Bias::always,
     .o_bias = Bias::never,
     .window = WindowRule::upper_blocks},
    {.model_type = "glm4v_text",
     .also = {"glm4v", "glm46v"},
     .class_name = "Glm4vForConditionalGeneration",
     .qkv_bias = Bias::always,
     .o_bias = Bias::never,
     .rope_interleaved = true,
     .default_norm_epsilon = 1e-5,
     .names = {.gate_up = "gate_up_proj",
               .after_attention = "post_self_attn_layernorm",
               .before_feed_forward = "post_attention_layernorm",
               .after_feed_forward = "post_mlp_layernorm"}},
    {.model_type = "minicpm",
     .class_name = "MiniCPMForCausalLM",
     .default_tied = true,
     .scales = {.embedding = "scale_emb", .depth = "scale_depth", .width = "dim_model_base"}},
});

}  // namespace

std::span<const Family> renamed_families() { return kRenamedFamilies; }

}  // namespace strata::model
