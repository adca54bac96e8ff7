// The rows of architectures of GGUF files; the keys of the parts that they tell are in parts.cpp.
// A part that neither a row nor a key holds does not come back from a file, and check_gguf_parts refuses it.
#include "model/gguf/families.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "model/gguf/config.h"

namespace strata::model {
namespace {

constexpr std::string_view kAfterAttention = "post_attention_norm";
constexpr std::string_view kEmbeddingNorm = "token_embd_norm";
constexpr std::array<std::int32_t, 4> kQwen35Sections{11, 11, 10, 0};

/// What all architectures of latent attention have.
constexpr GgufExperts kLatentExperts{.normalize_key = true,
                                     .scale_key = true,
                                     .score_key = true,
                                     .shared_keys = true,
                                     .first_key = true,
                                     .group_keys = true,
                                     .needs_shared = true};

/// Granite's, whose key for the width of dense parts is that of experts.
constexpr GgufExperts kGraniteExperts{.shared_keys = true, .shared_count = false, .in_length = true};

constexpr std::array kRows{
    GgufFamily{.name = "gpt2",
               .root = "transformer.",
               .activation = Activation::gelu_tanh,
               .o_bias = true,
               .mlp_bias = true,
               .needs_biases = true},
    GgufFamily{.name = "starcoder",
               .root = "transformer.",
               .activation = Activation::gelu_tanh,
               .o_bias = true,
               .mlp_bias = true,
               .needs_biases = true},
    GgufFamily{.name = "olmo", .interleaved = true, .square_heads = true, .clamp_key = true},
    GgufFamily{
        .name = "afmoe",
        .window_pattern = 4,
        .embedding_by_hidden = true,
        .experts =
            {.normalize_key = true, .scale_key = true, .score_key = true, .shared_keys = true, .first_key = true}},
    GgufFamily{.name = "llama", .interleaved = true, .o_bias = true, .mlp_bias = true},
    GgufFamily{.name = "qwen2vl", .plain = "qwen2", .square_heads = true},
    GgufFamily{.name = "qwen3vl", .plain = "qwen3"},
    GgufFamily{.name = "qwen3vlmoe", .plain = "qwen3moe"},
    GgufFamily{.name = "olmoe", .square_heads = true, .square_k = true, .experts = {.normalizes = false}},
    GgufFamily{.name = "qwen2moe", .experts = {.normalizes = false, .shared_keys = true}},
    GgufFamily{
        .name = "glm4moe",
        .feed_forward_norm = kAfterAttention,
        .partial_rope = true,
        .experts =
            {.normalize_key = true, .scale_key = true, .score_key = true, .shared_keys = true, .first_key = true}},
    GgufFamily{.name = "gemma",
               .activation = Activation::gelu_tanh,
               .needs_tied = true,
               .divisors = false,
               .embedding_by_hidden = true},
    GgufFamily{.name = "gemma2",
               .activation = Activation::gelu_tanh,
               .window_pattern = 2,
               .needs_window = true,
               .attention_softcap = true,
               .logit_softcap = true,
               .embedding_by_hidden = true,
               .wide_query_blocks = 46},
    GgufFamily{.name = "gemma3",
               .activation = Activation::gelu_tanh,
               .window_pattern = 6,
               .needs_window = true,
               .window_rope = true,
               .window_theta = true,
               .embedding_by_hidden = true,
               .wide_query_blocks = 62},
    GgufFamily{.name = "gemma4",
               .read_as = "gemma4_text",
               .activation = Activation::gelu_tanh,
               .window_pattern = 6,
               .needs_window = true,
               .logit_softcap = true,
               .embedding_by_hidden = true,
               .by_kind = true},
    GgufFamily{.name = "olmo2", .square_heads = true, .needs_head = true, .window_pattern = 4, .window_rope = true},
    GgufFamily{.name = "smollm3", .interleaved = true, .no_rope_step = 4},
    GgufFamily{.name = "granite",
               .hybrid = "granitehybrid",
               .interleaved = true,
               .o_bias = true,
               .mlp_bias = true,
               .rope_key = true,
               .scales = true,
               .gate_up_apart = true},
    GgufFamily{.name = "granitemoe",
               .dense = "granite",
               .hybrid = "granitehybrid",
               .interleaved = true,
               .o_bias = true,
               .scales = true,
               .gate_up_apart = true,
               .experts = kGraniteExperts},
    GgufFamily{.name = "granitehybrid",
               .interleaved = true,
               .o_bias = true,
               .mlp_bias = true,
               .partial_rope = true,
               .rope_key = true,
               .scales = true,
               .needs_mamba = true,
               .twice_hidden = true,
               .gate_up_apart = true,
               .experts = kGraniteExperts},
    GgufFamily{.name = "nemotron_h",
               .root = "backbone.",
               .interleaved = true,
               .activation = Activation::relu_squared,
               .divisors = false,
               .needs_mamba = true,
               .both_epsilons = true},
    GgufFamily{.name = "nemotron_h_moe",
               .dense = "nemotron_h",
               .root = "backbone.",
               .interleaved = true,
               .activation = Activation::relu_squared,
               .divisors = false,
               .needs_mamba = true,
               .both_epsilons = true,
               .experts = {.normalize_key = true,
                           .scale_key = true,
                           .shared_keys = true,
                           .shared_count = false,
                           .group_keys = true,
                           .needs_shared = true}},
    GgufFamily{.name = "mamba2", .root = "backbone.", .divisors = false, .attends = false},
    GgufFamily{.name = "nemotron",
               .activation = Activation::relu_squared,
               .o_bias = true,
               .mlp_bias = true,
               .square_heads = true,
               .needs_head = true,
               .partial_rope = true,
               .divisors = false},
    GgufFamily{.name = "arcee", .interleaved = true, .activation = Activation::relu_squared},
    GgufFamily{.name = "starcoder2",
               .activation = Activation::gelu_tanh,
               .o_bias = true,
               .mlp_bias = true,
               .needs_biases = true,
               .square_heads = true,
               .divisors = false},
    GgufFamily{.name = "jais2",
               .activation = Activation::relu_squared,
               .o_bias = true,
               .mlp_bias = true,
               .needs_biases = true,
               .square_heads = true,
               .needs_head = true,
               .divisors = false},
    GgufFamily{.name = "phi2",
               .activation = Activation::gelu_tanh,
               .o_bias = true,
               .mlp_bias = true,
               .square_heads = true,
               .needs_head = true,
               .partial_rope = true,
               .divisors = false},
    GgufFamily{.name = "stablelm",
               .square_heads = true,
               .needs_head = true,
               .partial_rope = true,
               .divisors = false,
               .parallel_key = true},
    GgufFamily{.name = "seed_oss", .feed_forward_norm = kAfterAttention},
    GgufFamily{.name = "phi3", .square_heads = true, .partial_rope = true},
    GgufFamily{.name = "glm4", .partial_rope = true},
    GgufFamily{.name = "ernie4_5"},
    GgufFamily{.name = "ernie4_5-moe", .experts = {.shared_keys = true, .first_key = true, .step_key = true}},
    GgufFamily{.name = "mistral3", .interleaved = true, .yarn_betas = true, .temperature = true},
    GgufFamily{
        .name = "command-r", .square_heads = true, .needs_tied = true, .divisors = false, .multiplies_logits = true},
    GgufFamily{.name = "cohere2",
               .square_heads = true,
               .needs_tied = true,
               .window_pattern = 4,
               .needs_window = true,
               .multiplies_logits = true},
    GgufFamily{.name = "cohere2moe",
               .window_pattern = 4,
               .window_list = true,
               .needs_window = true,
               .divisors = false,
               .multiplies_logits = true,
               .experts = {.normalize_key = true, .score_key = true, .shared_keys = true, .first_key = true}},
    GgufFamily{.name = "laguna",
               .window_pattern = 4,
               .full_first = true,
               .window_theta = true,
               .window_turned = true,
               .partial_rope = true,
               .divisors = false,
               .experts = {.normalize_key = true,
                           .scale_key = true,
                           .score_key = true,
                           .shared_keys = true,
                           .shared_count = false,
                           .first_key = true,
                           .needs_shared = true}},
    GgufFamily{.name = "exaone4", .window_pattern = 4, .window_blocks = 64},
    GgufFamily{.name = "minimax-m2", .needs_head = true, .partial_rope = true, .experts = {.score_key = true}},
    GgufFamily{.name = "gpt-oss",
               .activation = Activation::clamped_swiglu,
               .o_bias = true,
               .needs_head = true,
               .feed_forward_norm = kAfterAttention,
               .window_pattern = 2,
               .needs_window = true,
               .yarn_truncates = false},
    GgufFamily{.name = "llama4",
               .no_rope_step = 4,
               .chunk = 8192,
               .query_scale = {.beta = 0.1, .length = 8192, .first = 1},
               .l2_unless_experts = 128,
               .experts = {.step_key = true}},
    GgufFamily{.name = "qwen3next",
               .feed_forward_norm = kAfterAttention,
               .partial_rope = true,
               .experts = {.shared_keys = true}},
    GgufFamily{.name = "qwen35",
               .feed_forward_norm = kAfterAttention,
               .partial_rope = true,
               .sections = kQwen35Sections,
               .rope_parameters = true,
               .tiled_values = true},
    GgufFamily{.name = "qwen35moe",
               .feed_forward_norm = kAfterAttention,
               .partial_rope = true,
               .sections = kQwen35Sections,
               .rope_parameters = true,
               .tiled_values = true,
               .experts = {.shared_keys = true}},
    GgufFamily{.name = "mamba",
               .root = "backbone.",
               .states = &TensorNames::selective,
               .states_out = &TensorNames::selective_out},
    GgufFamily{.name = "lfm2", .last_norm = kEmbeddingNorm},
    GgufFamily{.name = "lfm2moe", .last_norm = kEmbeddingNorm, .experts = {.score_key = true, .first_key = true}},
    GgufFamily{.name = "glm-dsa", .rope_parameters = true, .yarn = false, .indexer = true, .experts = kLatentExperts},
    GgufFamily{.name = "mistral4",
               .mscale_is_one = true,
               .temperature = true,
               .temperature_length = true,
               .experts = kLatentExperts},
    GgufFamily{.name = "deepseek2", .whole_query_blocks = {26, 27}, .experts = kLatentExperts},
};

}  // namespace

GgufFamily gguf_family(std::string_view name) {
  const auto* row = std::ranges::find(kRows, name, &GgufFamily::name);
  return row != kRows.end() ? *row : GgufFamily{.name = name};
}

GgufFamily gguf_family_of(const Architecture& a) {
  std::string_view name = find_family(a.model_type)->gguf;
  const auto replace_by = [&](std::string_view GgufFamily::*with) {
    const auto* row = std::ranges::find(kRows, name, with);
    if (row != kRows.end()) name = row->name;
  };
  if (!has_mixer(a, Mixer::mamba)) replace_by(&GgufFamily::hybrid);
  if (a.experts.count != 0) replace_by(&GgufFamily::dense);
  if (!a.ropes.front().sections.empty()) replace_by(&GgufFamily::plain);
  return gguf_family(name);
}

bool has_mixer(const Architecture& a, Mixer mixer) {
  return std::ranges::find(a.attention, mixer, &BlockAttention::mixer) != a.attention.end();
}

bool tiles_value_heads(const Architecture& a) {
  const Family* const family = find_family(a.model_type);
  return family != nullptr && !family->gguf.empty() && gguf_family_of(a).tiled_values;
}

}  // namespace strata::model
