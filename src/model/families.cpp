// The rows of the family table. A dense family whose parts the engine has is a row here and a tiny model in
// tests/golden/models; a family of experts has a Mixture besides.
#include "model/families.h"

#include <array>

namespace strata::model {
namespace {

constexpr Mixture kMixtral{
    .experts = {.normalize = true, .module = "block_sparse_moe", .gate = "w1", .up = "w3", .down = "w2"},
    .count_key = "num_local_experts",
    .size_key = "intermediate_size"};
constexpr Mixture kQwen2Moe{.experts = {.shared_gate = true}, .shared_size_key = "shared_expert_intermediate_size"};
constexpr Mixture kQwen3Moe{};
constexpr Mixture kOlmoe{.experts = {}, .size_key = "intermediate_size"};
constexpr Mixture kGlm4Moe{.experts = {.score = Experts::Score::sigmoid,
                                       .normalize = true,
                                       .correction = true,
                                       .shared_module = "shared_experts"},
                           .count_key = "n_routed_experts",
                           .shared_count_key = "n_shared_experts",
                           .first_dense = 1};

constexpr std::array<Family, 9> kFamilies{{
    {.model_type = "llama", .class_name = "LlamaForCausalLM", .gguf = "llama", .mlp_bias_key = true},
    {.model_type = "mistral",
     .class_name = "MistralForCausalLM",
     .gguf = "llama",
     .qkv_bias = Bias::never,
     .o_bias = Bias::never,
     .window = WindowRule::every_block},
    {.model_type = "qwen2",
     .class_name = "Qwen2ForCausalLM",
     .gguf = "qwen2",
     .qkv_bias = Bias::always,
     .o_bias = Bias::never,
     .window = WindowRule::upper_blocks},
    {.model_type = "qwen3",
     .class_name = "Qwen3ForCausalLM",
     .gguf = "qwen3",
     .qk_norm = QkNorm::per_head,
     .window = WindowRule::upper_blocks,
     .default_head_dim = 128},
    {.model_type = "mixtral",
     .class_name = "MixtralForCausalLM",
     .gguf = "llama",
     .qkv_bias = Bias::never,
     .o_bias = Bias::never,
     .window = WindowRule::every_block,
     .default_norm_epsilon = 1e-5,
     .default_rope_theta = 1000000.0,
     .mixture = &kMixtral},
    {.model_type = "qwen2_moe",
     .class_name = "Qwen2MoeForCausalLM",
     .gguf = "qwen2moe",
     .qkv_bias = Bias::unless_off,
     .o_bias = Bias::never,
     .window = WindowRule::refused,
     .mixture = &kQwen2Moe},
    {.model_type = "qwen3_moe",
     .class_name = "Qwen3MoeForCausalLM",
     .gguf = "qwen3moe",
     .qk_norm = QkNorm::per_head,
     .window = WindowRule::when_used,
     .mixture = &kQwen3Moe},
    {.model_type = "olmoe",
     .class_name = "OlmoeForCausalLM",
     .gguf = "olmoe",
     .qk_norm = QkNorm::whole,
     .default_norm_epsilon = 1e-5,
     .mixture = &kOlmoe},
    {.model_type = "glm4_moe",
     .class_name = "Glm4MoeForCausalLM",
     .gguf = "glm4moe",
     .o_bias = Bias::never,
     .qk_norm = QkNorm::per_head,
     .qk_norm_key = true,
     .default_norm_epsilon = 1e-5,
     .default_rotary_share = 0.5,
     .mixture = &kGlm4Moe},
}};

}  // namespace

std::span<const Family> families() { return kFamilies; }

const Family* find_family(std::string_view model_type, std::span<const Family> table) {
  for (const Family& family : table)
    if (family.model_type == model_type) return &family;
  return nullptr;
}

std::string known_families(std::span<const Family> table) {
  std::string names;
  for (const Family& family : table) names += (names.empty() ? "" : ", ") + std::string(family.model_type);
  return names;
}

}  // namespace strata::model
