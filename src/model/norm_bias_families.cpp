// The rows of families of dense blocks whose layer norms have biases: as PyTorch's LayerNorm has them.
// A row and a tiny model in tests/golden/models make a family.
#include "model/norm_bias_families.h"

#include <array>

namespace strata::model {
namespace {

constexpr auto kNormBiasFamilies = std::to_array<Family>({
    {.model_type = "nemotron",
     .class_name = "NemotronForCausalLM",
     .gguf = "nemotron",
     .mlp_bias_key = "mlp_bias",
     .norm_offset = 1.0f,
     .norm_kind = NormKind::layer,
     .norm_bias = true,
     .norm_epsilon_key = "norm_eps",
     .gated = false,
     .default_norm_epsilon = 1e-5,
     .default_rotary_share = 0.5,
     .defaults = R"({"hidden_act": "relu2"})"},
    {.model_type = "starcoder2",
     .class_name = "Starcoder2ForCausalLM",
     .gguf = "starcoder2",
     .qkv_bias_key = "use_bias",
     .o_bias_key = "use_bias",
     .mlp_bias_key = "use_bias",
     .norm_kind = NormKind::layer,
     .norm_bias = true,
     .norm_epsilon_key = "norm_epsilon",
     .window = WindowRule::every_block,
     .gated = false,
     .default_norm_epsilon = 1e-5,
     .default_tied = true,
     .names = {.up = "c_fc", .down = "c_proj"},
     .defaults = R"({"use_bias": true, "hidden_act": "gelu_pytorch_tanh", "num_key_value_heads": 2})"},
    {.model_type = "gpt_neox",
     .class_name = "GPTNeoXForCausalLM",
     .mlp_bias_key = "mlp_bias",
     .qkv_by_key_heads = true,
     .norm_kind = NormKind::layer,
     .norm_bias = true,
     .norm_epsilon_key = "layer_norm_eps",
     .parallel = true,
     .parallel_key = "use_parallel_residual",
     .gated = false,
     .default_norm_epsilon = 1e-5,
     .default_rotary_share = 0.25,
     .names = {.embedding = "embed_in",
               .head = "embed_out",
               .attention = "attention",
               .o = "dense",
               .qkv = "query_key_value",
               .up = "dense_h_to_4h",
               .down = "dense_4h_to_h",
               .last_norm = "final_layer_norm"},
     .spelled = R"({"rope_theta": "rotary_emb_base", "partial_rotary_factor": "rotary_pct"})",
     .defaults = R"({"attention_bias": true, "mlp_bias": true, "hidden_act": "gelu"})"},
    {.model_type = "stablelm",
     .class_name = "StableLmForCausalLM",
     .gguf = "stablelm",
     .o_bias = Bias::never,
     .qkv_bias_key = "use_qkv_bias",
     .norm_kind = NormKind::layer,
     .norm_bias = true,
     .norm_epsilon_key = "layer_norm_eps",
     .default_norm_epsilon = 1e-5,
     .default_rotary_share = 0.25,
     .refused = {"use_parallel_residual", "qk_layernorm"},
     .defaults = R"({"num_key_value_heads": 32})"},
    {.model_type = "jais2",
     .class_name = "Jais2ForCausalLM",
     .gguf = "jais2",
     .mlp_bias_key = "mlp_bias",
     .norm_kind = NormKind::layer,
     .norm_bias = true,
     .norm_epsilon_key = "layer_norm_eps",
     .gated = false,
     .default_norm_epsilon = 1e-5,
     .defaults = R"({"attention_bias": true, "mlp_bias": true, "hidden_act": "relu2"})"},
});

}  // namespace

std::span<const Family> norm_bias_families() { return kNormBiasFamilies; }

}  // namespace strata::model
