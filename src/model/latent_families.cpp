// The rows of mixtures of experts whose blocks have latent attention. How each routes is in mixtures.h.
// A row and a tiny model in tests/golden/models make a family.
#include "model/latent_families.h"

#include <array>

#include "model/mixtures.h"

namespace strata::model {
namespace {

constexpr const char* kDeepseekV2Defaults =
    R"({"n_shared_experts": 2, "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64, "v_head_dim": 128})";
/// index_topk counts in the families that have an indexer.
constexpr const char* kDeepseekV3Defaults =
    R"({"n_shared_experts": 1, "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64, "v_head_dim": 128, "n_group": 8, "topk_group": 4, "num_experts_per_tok": 8,
        "routed_scaling_factor": 2.5, "index_topk": 2048})";

constexpr auto kLatents = std::to_array<Family>({
    {.model_type = "deepseek_v2",
     .class_name = "DeepseekV2ForCausalLM",
     .gguf = "deepseek2",
     .embedding_query = EmbeddingQuery::by_name,
     .mixer = Mixer::latent,
     .rope_interleaved = true,
     .mixture = &kDeepseekV2,
     .defaults = kDeepseekV2Defaults},
    {.model_type = "deepseek_v3",
     .also = {"kimi_k2", "kimi_k25"},
     .class_name = "DeepseekV3ForCausalLM",
     .gguf = "deepseek2",
     .embedding_query = EmbeddingQuery::by_name,
     .mixer = Mixer::latent,
     .rope_interleaved = true,
     .mixture = &kDeepseekV3,
     .defaults = kDeepseekV3Defaults},
    {.model_type = "glm4_moe_lite",
     .class_name = "Glm4MoeLiteForCausalLM",
     .gguf = "deepseek2",
     .embedding_query = EmbeddingQuery::by_name,
     .mixer = Mixer::latent,
     .rope_interleaved = true,
     .default_norm_epsilon = 1e-5,
     .mixture = &kDeepseekV3,
     .defaults = R"({"n_shared_experts": 1, "first_k_dense_replace": 1, "q_lora_rank": 768, "kv_lora_rank": 512,
                      "qk_nope_head_dim": 192, "qk_rope_head_dim": 64, "v_head_dim": 256, "num_experts_per_tok": 4,
                      "routed_scaling_factor": 1.8})"},
    {.model_type = "glm_moe_dsa",
     .class_name = "GlmMoeDsaForCausalLM",
     .gguf = "glm-dsa",
     .mixer = Mixer::latent,
     .index_key = "index_topk",
     .rope_interleaved = true,
     .default_norm_epsilon = 1e-5,
     .mixture = &kDeepseekV3,
     .defaults = R"({"n_shared_experts": 1, "index_topk": 2048, "q_lora_rank": 2048, "kv_lora_rank": 512,
                      "qk_nope_head_dim": 192, "qk_rope_head_dim": 64, "v_head_dim": 256, "num_experts_per_tok": 8,
                      "routed_scaling_factor": 2.5})"},
    {.model_type = "deepseek_v32",
     .class_name = "DeepseekV32ForCausalLM",
     .mixer = Mixer::latent,
     .index_key = "index_topk",
     .rope_interleaved = true,
     .mixture = &kDeepseekV3,
     .defaults = kDeepseekV3Defaults},
    {.model_type = "mistral4",
     .class_name = "Mistral4ForCausalLM",
     .gguf = "mistral4",
     .embedding_query = EmbeddingQuery::by_name,
     .mixer = Mixer::latent,
     .query_scale = {.beta = "llama_4_scaling_beta", .length = "original_max_position_embeddings"},
     .rope_interleaved = true,
     .mixture = &kMistral4,
     .defaults = R"({"n_shared_experts": 1, "q_lora_rank": 1024, "kv_lora_rank": 256, "qk_nope_head_dim": 64,
                      "qk_rope_head_dim": 64, "v_head_dim": 128, "num_experts_per_tok": 4})"},
});

}  // namespace

std::span<const Family> latent_families() { return kLatents; }

}  // namespace strata::model
