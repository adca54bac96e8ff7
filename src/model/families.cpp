// The rows of the family table.
// A new family is a row here (and a Mixture when it has experts), tiny-model goldens, and nothing else.
#include "model/families.h"

#include <array>

namespace strata::model {
namespace {

constexpr Mixture kMixtral{
    .experts = {.normalize = true, .module = "block_sparse_moe", .gate = "w1", .up = "w3", .down = "w2"},
    .size_key = "intermediate_size"};
constexpr Mixture kQwen2Moe{.experts = {.shared_gate = true}, .shared_size_key = "shared_expert_intermediate_size"};
constexpr Mixture kQwen3Moe{};
constexpr Mixture kOlmoe{.experts = {}, .size_key = "intermediate_size"};
constexpr Mixture kGlm4Moe{.experts = {.score = Experts::Score::sigmoid,
                                       .normalize = true,
                                       .correction = true,
                                       .shared_module = "shared_experts"},
                           .shared_count_key = "n_shared_experts",
                           .first_dense = 1};

constexpr auto kNoNorm = QkNorm::none;
constexpr auto kPerHead = QkNorm::per_head;
constexpr std::array<Family, 9> kFamilies{{
    {"llama", "LlamaForCausalLM", "llama", Bias::config, Bias::config, true, kNoNorm, WindowRule::none, 0, 1e-6,
     10000.0},
    {"mistral", "MistralForCausalLM", "llama", Bias::never, Bias::never, false, kNoNorm, WindowRule::every_block, 0,
     1e-6, 10000.0},
    {"qwen2", "Qwen2ForCausalLM", "qwen2", Bias::always, Bias::never, false, kNoNorm, WindowRule::upper_blocks, 0, 1e-6,
     10000.0},
    {"qwen3", "Qwen3ForCausalLM", "qwen3", Bias::config, Bias::config, false, kPerHead, WindowRule::upper_blocks, 128,
     1e-6, 10000.0},
    {"mixtral", "MixtralForCausalLM", "llama", Bias::never, Bias::never, false, kNoNorm, WindowRule::every_block, 0,
     1e-5, 1000000.0, &kMixtral},
    {"qwen2_moe", "Qwen2MoeForCausalLM", "qwen2moe", Bias::unless_off, Bias::never, false, kNoNorm, WindowRule::refused,
     0, 1e-6, 10000.0, &kQwen2Moe},
    {"qwen3_moe", "Qwen3MoeForCausalLM", "qwen3moe", Bias::config, Bias::config, false, kPerHead, WindowRule::when_used,
     0, 1e-6, 10000.0, &kQwen3Moe},
    {"olmoe", "OlmoeForCausalLM", "olmoe", Bias::config, Bias::config, false, QkNorm::whole, WindowRule::none, 0, 1e-5,
     10000.0, &kOlmoe},
    {"glm4_moe", "Glm4MoeForCausalLM", "glm4moe", Bias::config, Bias::never, false, kPerHead, WindowRule::none, 0, 1e-5,
     10000.0, &kGlm4Moe, 0.5, true},
}};

}  // namespace

std::span<const Family> families() { return kFamilies; }

const Family* find_family(std::string_view model_type) {
  for (const Family& family : kFamilies)
    if (family.model_type == model_type) return &family;
  return nullptr;
}

std::string known_families() {
  std::string names;
  for (const Family& family : kFamilies) names += (names.empty() ? "" : ", ") + std::string(family.model_type);
  return names;
}

}  // namespace strata::model
