// The rows of families of dense blocks; those of experts are in mixture_families.cpp. A family whose parts the engine
// has is a row and a tiny model in tests/golden/models; one of experts has a Mixture besides.
#include "model/families.h"

#include <algorithm>
#include <array>
#include <vector>

#include "model/mixture_families.h"
#include "model/norm_places.h"

namespace strata::model {
namespace {

constexpr auto kDense = std::to_array<Family>({
    {.model_type = "llama", .class_name = "LlamaForCausalLM", .gguf = "llama", .mlp_bias_key = "mlp_bias"},
    {.model_type = "mistral",
     .also = {"mistral3"},
     .class_name = "MistralForCausalLM",
     .gguf = "llama",
     .qkv_bias = Bias::never,
     .o_bias = Bias::never,
     .window = WindowRule::every_block},
    {.model_type = "qwen2",
     .also = {"qwen2_vl", "qwen2_vl_text", "qwen2_5_vl", "qwen2_5_vl_text"},
     .class_name = "Qwen2ForCausalLM",
     .gguf = "qwen2",
     .qkv_bias = Bias::always,
     .o_bias = Bias::never,
     .window = WindowRule::upper_blocks},
    {.model_type = "qwen3",
     .also = {"qwen3_vl_text"},
     .class_name = "Qwen3ForCausalLM",
     .gguf = "qwen3",
     .qk_norm = QkNorm::per_head,
     .window = WindowRule::upper_blocks,
     .default_head_dim = 128},
    {.model_type = "gemma2",
     .class_name = "Gemma2ForCausalLM",
     .norm_offset = 1.0f,
     .attention_softcap_key = "attn_logit_softcapping",
     .logit_softcap_key = "final_logit_softcapping",
     .window = WindowRule::pattern,
     .window_pattern = 2,
     .activation_key = "hidden_activation",
     .default_head_dim = 256,
     .default_tied = true,
     .scales = {.embedding_by_hidden = true, .query_size = "query_pre_attn_scalar"},
     .names = kSandwich,
     .defaults = R"({"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "query_pre_attn_scalar": 256,
                     "sliding_window": 4096, "hidden_activation": "gelu_pytorch_tanh"})"},
    {.model_type = "gemma3_text",
     .also = {"gemma3"},
     .class_name = "Gemma3ForCausalLM",
     .qk_norm = QkNorm::per_head,
     .norm_offset = 1.0f,
     .logit_softcap_key = "final_logit_softcapping",
     .window = WindowRule::pattern,
     .window_pattern = 6,
     .window_rope = true,
     .activation_key = "hidden_activation",
     .default_head_dim = 256,
     .default_rope_theta = 1000000.0,
     .default_tied = true,
     .scales = {.embedding_by_hidden = true, .query_size = "query_pre_attn_scalar"},
     .names = kSandwich,
     .defaults = R"({"query_pre_attn_scalar": 256, "sliding_window": 4096, "hidden_activation": "gelu_pytorch_tanh",
                     "num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 262208,
                     "max_position_embeddings": 131072})"},
    {.model_type = "olmo2",
     .class_name = "Olmo2ForCausalLM",
     .qk_norm = QkNorm::whole,
     .default_norm_epsilon = 1e-5,
     .names = kPostNorms},
    {.model_type = "olmo3",
     .class_name = "Olmo3ForCausalLM",
     .qk_norm = QkNorm::whole,
     .window = WindowRule::pattern,
     .window_pattern = 4,
     .window_rope = true,
     .default_norm_epsilon = 1e-5,
     .default_rope_theta = 500000.0,
     .window_rope_theta = 500000.0,
     .names = kPostNorms,
     .defaults = R"({"sliding_window": 4096})"},
    {.model_type = "smollm3",
     .class_name = "SmolLM3ForCausalLM",
     .mlp_bias_key = "mlp_bias",
     .window = WindowRule::without_rope,
     .rope = RopeRule::listed,
     .default_rope_theta = 2000000.0,
     .default_tied = true},
    {.model_type = "granite",
     .class_name = "GraniteForCausalLM",
     .mlp_bias_key = "mlp_bias",
     .scales = {.embedding = "embedding_multiplier",
                .attention = "attention_multiplier",
                .residual = "residual_multiplier",
                .logits_divisor = "logits_scaling"},
     .defaults = R"({"attention_multiplier": 1.0})"},
    {.model_type = "seed_oss",
     .class_name = "SeedOssForCausalLM",
     .o_bias_key = "attention_out_bias",
     .mlp_bias_key = "mlp_bias",
     .default_head_dim = 128,
     .defaults = R"({"attention_bias": true})"},
    {.model_type = "phi3",
     .class_name = "Phi3ForCausalLM",
     .qkv_bias = Bias::never,
     .o_bias = Bias::never,
     .window = WindowRule::every_block,
     .default_norm_epsilon = 1e-5,
     .names = {.qkv = "qkv_proj", .gate_up = "gate_up_proj"}},
    {.model_type = "glm4",
     .class_name = "Glm4ForCausalLM",
     .o_bias = Bias::never,
     .rope_interleaved = true,
     .default_head_dim = 128,
     .default_norm_epsilon = 1.5625e-07,
     .default_rotary_share = 0.5,
     .names = {.gate_up = "gate_up_proj",
               .after_attention = "post_self_attn_layernorm",
               .before_feed_forward = "post_attention_layernorm",
               .after_feed_forward = "post_mlp_layernorm"},
     .defaults = R"({"attention_bias": true})"},
    {.model_type = "ernie4_5",
     .class_name = "Ernie4_5ForCausalLM",
     .qkv_bias_key = "use_bias",
     .o_bias_key = "use_bias",
     .mlp_bias_key = "use_bias",
     .rope_interleaved = true,
     .default_head_dim = 128,
     .default_norm_epsilon = 1e-5,
     .default_rope_theta = 500000.0,
     .default_tied = true},
    {.model_type = "ministral3",
     .class_name = "Ministral3ForCausalLM",
     .qkv_bias = Bias::never,
     .o_bias = Bias::never,
     .query_scale = {.beta = "llama_4_scaling_beta", .length = "original_max_position_embeddings"},
     .window = WindowRule::every_block,
     .default_head_dim = 128,
     .default_norm_epsilon = 1e-5,
     .default_rope_theta = 1000000.0,
     .defaults = R"({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1000000.0, "factor": 16.0,
                     "original_max_position_embeddings": 16384, "beta_fast": 32.0, "beta_slow": 1.0,
                     "mscale_all_dim": 1.0, "mscale": 1.0, "llama_4_scaling_beta": 0.1}})"},
    {.model_type = "cohere2",
     .class_name = "Cohere2ForCausalLM",
     .norm_kind = NormKind::layer,
     .norm_epsilon_key = "layer_norm_eps",
     .parallel = true,
     .window = WindowRule::pattern,
     .window_pattern = 4,
     .rope = RopeRule::windowed,
     .rope_interleaved = true,
     .default_norm_epsilon = 1e-5,
     .default_tied = true,
     .scales = {.logits = "logit_scale"},
     .names = {.before_feed_forward = {}},
     .defaults = R"({"logit_scale": 0.0625, "sliding_window": 4096})"},
    {.model_type = "exaone4",
     .class_name = "Exaone4ForCausalLM",
     .qkv_bias = Bias::never,
     .o_bias = Bias::never,
     .qk_norm = QkNorm::per_head,
     .window = WindowRule::pattern,
     .window_pattern = 4,
     .rope = RopeRule::windowed_if_any,
     .default_norm_epsilon = 1e-5,
     .names = kPostNorms,
     .defaults = R"({"sliding_window": 4096})"},
    {.model_type = "helium",
     .class_name = "HeliumForCausalLM",
     .o_bias = Bias::never,
     .rope_interleaved = true,
     .default_head_dim = 128,
     .default_norm_epsilon = 1e-8},
});

}  // namespace

std::span<const Family> families() {
  static const std::vector<Family> all = [] {
    std::vector<Family> rows(kDense.begin(), kDense.end());
    rows.insert(rows.end(), mixture_families().begin(), mixture_families().end());
    return rows;
  }();
  return all;
}

const Family* find_family(std::string_view model_type, std::span<const Family> table) {
  for (const Family& family : table)
    if (family.model_type == model_type || std::ranges::find(family.also, model_type) != family.also.end())
      return &family;
  return nullptr;
}

std::string known_families(std::span<const Family> table) {
  std::string names;
  for (const Family& family : table) names += (names.empty() ? "" : ", ") + std::string(family.model_type);
  return names;
}

}  // namespace strata::model
