// The table of families. A row stands for tests/peers/test_mlx.py: its logits were held against mlx_lm's.
#include "model/mlx/families.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "model/tensors.h"

namespace strata::model {
namespace {

struct MlxFamily {
  std::string_view model_type;
  std::string_view experts = "switch_mlp";  ///< the module within the mixture that holds its stacks
  bool splits_kv_b = false;                 ///< two matrices are made of kv_b
  bool gates_heads = false;                 ///< gates of what attention puts out are one a head
};

constexpr auto kFamilies = std::to_array<MlxFamily>({
    {.model_type = "cohere"},
    {.model_type = "cohere2"},
    {.model_type = "deepseek_v2"},
    {.model_type = "deepseek_v3", .splits_kv_b = true},
    {.model_type = "dots1", .experts = "experts"},
    {.model_type = "ernie4_5"},
    {.model_type = "exaone4"},
    {.model_type = "gemma"},
    {.model_type = "gemma3_text"},
    {.model_type = "glm4"},
    {.model_type = "granite"},
    {.model_type = "helium"},
    {.model_type = "kimi_k2", .splits_kv_b = true},
    {.model_type = "laguna", .gates_heads = true},
    {.model_type = "lfm2"},
    {.model_type = "llama"},
    {.model_type = "mellum"},
    {.model_type = "minimax_m2"},
    {.model_type = "ministral3"},
    {.model_type = "mistral"},
    {.model_type = "mixtral"},
    {.model_type = "nemotron"},
    {.model_type = "olmo2"},
    {.model_type = "olmoe"},
    {.model_type = "qwen2"},
    {.model_type = "qwen2_moe"},
    {.model_type = "qwen3"},
    {.model_type = "qwen3_moe"},
    {.model_type = "seed_oss"},
    {.model_type = "smollm3"},
    {.model_type = "stablelm"},
});

const MlxFamily* find_row(const Architecture& a) {
  const auto* row = std::ranges::find(kFamilies, a.model_type, &MlxFamily::model_type);
  return row == kFamilies.end() ? nullptr : row;
}

const MlxFamily& row_of(const Architecture& a) {
  const MlxFamily* row = find_row(a);
  STRATA_CHECK(row != nullptr, "{} is not for mlx_lm", a.model_type);
  return *row;
}

}  // namespace

std::string why_not_mlx(const Architecture& a) {
  if (find_row(a) == nullptr)
    return fmt::format("how mlx_lm holds {} models is not known here; docs/families.md lists the families",
                       a.model_type);
  if (find_row(a)->gates_heads && !a.gate_by_head)
    return fmt::format("mlx_lm's {} models have one gate a head, and this one has one for every value", a.model_type);
  if (find_row(a)->gates_heads && a.qkv_bias) return fmt::format("mlx_lm's {} models have no biases", a.model_type);
  if (a.names.root != Names{}.root)
    return fmt::format("its text model lies below '{}', and mlx_lm loads those at the top alone", a.names.root);
  return {};
}

bool taken_apart_by_mlx(const Architecture& a, const Linear& linear) {
  const MlxFamily* row = find_row(a);
  return row != nullptr && row->splits_kv_b && linear.role == Role::kv_b;
}

std::string_view mlx_role_name(Role role) {
  return role == Role::gate ? "gate_proj" : role == Role::up ? "up_proj" : "down_proj";
}

std::vector<MlxStack> mlx_stacks(const Architecture& a, std::size_t block) {
  std::vector<MlxStack> stacks;
  for (const Role role : a.expert_roles()) {
    MlxStack stack{fmt::format("{}{}.{}", mixture_prefix(a, block), row_of(a).experts, mlx_role_name(role))};
    for (std::size_t e = 0; e < a.experts.count; ++e) stack.linears.push_back(a.index(block, role, e));
    stacks.push_back(std::move(stack));
  }
  return stacks;
}

std::vector<std::string> mlx_stack_modules(const Architecture& a, std::size_t block) {
  return {mixture_prefix(a, block) + "switch_mlp", mixture_prefix(a, block) + "experts"};
}

void say_rope_for_mlx(json& config) {
  const json rope = config.value("rope_parameters", json());
  if (!rope.is_object() || !rope.contains("rope_theta") || !rope["rope_theta"].is_number()) return;  // or one a kind
  if (!config.contains("rope_theta")) config["rope_theta"] = rope["rope_theta"];
  const bool plain = rope.value("rope_type", json("default")) == "default";
  if (!plain && !config.contains("rope_scaling")) config["rope_scaling"] = rope;
}

}  // namespace strata::model
