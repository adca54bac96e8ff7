// A role is one row. The names in its files are those of TensorNames, which families change; a mixer whose o is called
// otherwise than that of attention names it itself.
#include "model/roles.h"

#include <array>

#include "core/error.h"

namespace strata::model {
namespace {

using T = TensorNames;

/// In the order of Role.
constexpr auto kRoleRows = std::to_array<RoleRow>({
    {Role::q, "q", Site::attn_in, &T::attention, &T::q},
    {Role::k, "k", Site::attn_in, &T::attention, &T::k},
    {Role::v, "v", Site::attn_in, &T::attention, &T::v},
    {Role::o, "o", Site::o_in, &T::attention, &T::o},
    {Role::gate, "gate", Site::mlp_in, &T::feed_forward, &T::gate},
    {Role::up, "up", Site::mlp_in, &T::feed_forward, &T::up},
    {Role::down, "down", Site::down_in, &T::feed_forward, &T::down},
    {Role::out_gate, "out_gate", Site::attn_in, &T::attention, &T::out_gate},
    {Role::qkv, "qkv", Site::attn_in, &T::attention, &T::qkv},
    {Role::gate_up, "gate_up", Site::mlp_in, &T::feed_forward, &T::gate_up},
    {Role::q_a, "q_a", Site::attn_in, &T::attention, &T::q_a},
    {Role::q_b, "q_b", Site::q_b_in, &T::attention, &T::q_b},
    {Role::kv_a, "kv_a", Site::attn_in, &T::attention, &T::kv_a},
    {Role::kv_b, "kv_b", Site::kv_b_in, &T::attention, &T::kv_b},
    {Role::in_qkv, "in_qkv", Site::attn_in, &T::delta, &T::in_qkv},
    {Role::in_z, "in_z", Site::attn_in, &T::delta, &T::in_z},
    {Role::in_b, "in_b", Site::attn_in, &T::delta, &T::in_b},
    {Role::in_a, "in_a", Site::attn_in, &T::delta, &T::in_a},
    {Role::in_qkvz, "in_qkvz", Site::attn_in, &T::delta, &T::in_qkvz},
    {Role::in_ba, "in_ba", Site::attn_in, &T::delta, &T::in_ba},
    {Role::in_bcx, "in_bcx", Site::attn_in, &T::convolution, &T::in_bcx},
    {Role::in_zxbcdt, "in_zxbcdt", Site::attn_in, &T::mamba, &T::in_zxbcdt},
    {Role::in_xz, "in_xz", Site::attn_in, &T::selective, &T::in_xz},
    {Role::dtbc, "dtbc", Site::dtbc_in, &T::selective, &T::dtbc},
    {Role::dt, "dt", Site::dt_in, &T::selective, &T::dt},
    {Role::to_latent, "to_latent", Site::mlp_in},
    {Role::from_latent, "from_latent", Site::from_latent_in},
    {Role::embed_gate, "embed_gate", Site::embed_gate_in, nullptr, &T::embed_gate},
    {Role::embed_out, "embed_out", Site::embed_out_in, nullptr, &T::embed_out},
    {Role::lm_head, "lm_head", Site::block_out, nullptr, &T::head},
    {Role::embed, "embed", Site::block_out, nullptr, &T::embedding},
    {Role::other, "other"},
});

constexpr bool in_order() {
  for (std::size_t i = 0; i < kRoleRows.size(); ++i)
    if (kRoleRows[i].role != static_cast<Role>(i)) return false;
  return kRoleRows.back().role == Role::other;  // the last role
}
static_assert(in_order(), "every role has its row, in the order of Role");

}  // namespace

const RoleRow& role_row(Role role) { return kRoleRows[static_cast<std::size_t>(role)]; }

std::string_view role_name(Role role) { return role_row(role).name; }

std::string Names::linear(Role role) const {
  const RoleRow& row = role_row(role);
  STRATA_CHECK(row.linear != nullptr, "{} is not named here", row.name);
  const std::string name(this->*row.linear);
  if (role == Role::lm_head) return head_root + name;
  if (role == Role::embed) return root + name;
  return row.module == nullptr ? name : within(this->*row.module) + name;
}

}  // namespace strata::model
