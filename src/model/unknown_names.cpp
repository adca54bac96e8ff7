// Names are split at their points. Numbers behind "experts" count experts; what any other number counts is the caller's
// to judge.
#include "model/unknown_names.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace strata::model {
namespace {

constexpr std::size_t kLongestNumber = 6;

std::optional<std::size_t> number_of(std::string_view text) {
  std::size_t value = 0;
  if (text.empty() || text.size() > kLongestNumber || (text.size() > 1 && text[0] == '0')) return {};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

/// All before the last component, its point included.
std::string_view parent_of(std::string_view module) { return module.substr(0, module.rfind('.') + 1); }

/// Last components of names that tell what a matrix is.
struct RoleName {
  std::string_view name;
  Role role;
};
constexpr auto kRoles = std::to_array<RoleName>({{"q_proj", Role::q},
                                                 {"query", Role::q},
                                                 {"wq", Role::q},
                                                 {"q", Role::q},
                                                 {"k_proj", Role::k},
                                                 {"key", Role::k},
                                                 {"wk", Role::k},
                                                 {"k", Role::k},
                                                 {"v_proj", Role::v},
                                                 {"value", Role::v},
                                                 {"wv", Role::v},
                                                 {"v", Role::v},
                                                 {"o_proj", Role::o},
                                                 {"wo", Role::o},
                                                 {"gate_proj", Role::gate},
                                                 {"w1", Role::gate},
                                                 {"up_proj", Role::up},
                                                 {"w3", Role::up},
                                                 {"down_proj", Role::down},
                                                 {"w2", Role::down},
                                                 {"qkv_proj", Role::qkv},
                                                 {"Wqkv", Role::qkv},
                                                 {"query_key_value", Role::qkv},
                                                 {"c_attn", Role::qkv},
                                                 {"gate_up_proj", Role::gate_up}});

/// Names that runtimes make one matrix of, below one parent.
struct Shared {
  std::string_view name;
  std::array<std::string_view, 3> parts;
};
constexpr auto kShared = std::to_array<Shared>({{"qkv_proj", {"q_proj", "k_proj", "v_proj"}},
                                                {"qkv", {"query", "key", "value"}},
                                                {"qkv", {"q", "k", "v"}},
                                                {"wqkv", {"wq", "wk", "wv"}},
                                                {"gate_up_proj", {"gate_proj", "up_proj"}},
                                                {"w13", {"w1", "w3"}},
                                                {"wi", {"wi_0", "wi_1"}},
                                                {"in_proj_qkvz", {"in_proj_qkv", "in_proj_z"}},
                                                {"in_proj_ba", {"in_proj_b", "in_proj_a"}},
                                                {"fused_qkv_a_proj", {"q_a_proj", "kv_a_proj_with_mqa"}}});

}  // namespace

std::vector<NameSplit> splits_of(std::string_view name) {
  std::vector<NameSplit> splits;
  if (name.size() > kLongestName) return splits;
  for (std::size_t at = 0; at < name.size();) {
    const std::size_t dot = name.find('.', at);
    if (dot == name.npos) break;
    if (const auto number = number_of(name.substr(at, dot - at)))
      splits.push_back({name.substr(0, at), name.substr(dot + 1), *number});
    at = dot + 1;
  }
  return splits;
}

std::optional<NameSplit> expert_of(std::string_view module) {
  for (const NameSplit& split : splits_of(module))
    if (split.before.ends_with(kExperts)) return split;
  return {};
}

std::string_view last_of(std::string_view module) { return module.substr(module.rfind('.') + 1); }

Role role_of(std::string_view module) {
  const auto it = std::ranges::find(kRoles, last_of(module), &RoleName::name);
  return it == kRoles.end() ? Role::other : it->role;
}

std::string group_of(const std::string& module) {
  if (const auto expert = expert_of(module)) return std::string(expert->before.substr(0, expert->before.size() - 1));
  const std::string_view last = last_of(module);
  for (const Shared& shared : kShared)
    if (!last.empty() && std::ranges::find(shared.parts, last) != shared.parts.end())
      return std::string(parent_of(module)) + std::string(shared.name);
  return module;
}

}  // namespace strata::model
