// The rows of Gemma's families of dense blocks: norms that multiply by 1 + w, and an embedding times sqrt(hidden size).
// A row and a tiny model in tests/golden/models make a family.
#include "model/gemma_families.h"

#include <array>

#include "model/norm_places.h"

namespace strata::model {
namespace {

constexpr auto kGemmaFamilies = std::to_array<Family>({
    {.model_type = "gemma",
     .also = {"paligemma"},
     .class_name = "GemmaForCausalLM",
     .gguf = "gemma",
     .norm_offset = 1.0f,
     .activation_key = "hidden_activation",
     .default_head_dim = 256,
     .default_tied = true,
     .scales = {.embedding_by_hidden = true},
     .defaults = R"({"hidden_activation": "gelu_pytorch_tanh"})"},
    {.model_type = "gemma2",
     .class_name = "Gemma2ForCausalLM",
     .gguf = "gemma2",
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
     .gguf = "gemma3",
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
    {.model_type = "gemma4_unified_text",
     .also = {"gemma4_unified"},
     .class_name = "Gemma4UnifiedForCausalLM",
     .gguf = "gemma4",
     .qk_norm = QkNorm::per_head,
     .by_kind = true,
     .logit_softcap_key = "final_logit_softcapping",
     .window = WindowRule::pattern,
     .window_pattern = 6,
     .activation_key = "hidden_activation",
     .default_head_dim = 256,
     .default_tied = true,
     .scales = {.embedding_by_hidden = true, .plain_attention = true},
     .names = kSandwich,
     .defaults = R"({"sliding_window": 1024, "hidden_activation": "gelu_pytorch_tanh", "vocab_size": 262144,
                     "num_attention_heads": 8, "num_key_value_heads": 4, "max_position_embeddings": 262144,
                     "rope_parameters": {"sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
                     "full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25,
                     "rope_theta": 1000000.0}}})"},
    {.model_type = "vaultgemma",
     .class_name = "VaultGemmaForCausalLM",
     .norm_offset = 1.0f,
     .attention_softcap_key = "attn_logit_softcapping",
     .logit_softcap_key = "final_logit_softcapping",
     .window = WindowRule::pattern,
     .window_pattern = 2,
     .activation_key = "hidden_activation",
     .default_head_dim = 256,
     .default_tied = true,
     .scales = {.embedding_by_hidden = true, .query_size = "query_pre_attn_scalar"},
     .names = {.before_feed_forward = "pre_feedforward_layernorm"},
     .defaults = R"({"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "query_pre_attn_scalar": 256,
                     "sliding_window": 4096, "hidden_activation": "gelu_pytorch_tanh"})"},
});

}  // namespace

std::span<const Family> gemma_families() { return kGemmaFamilies; }

}  // namespace strata::model
