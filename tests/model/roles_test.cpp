// Tests the table of roles: what roles are called, where they read, and how files name their linears.
#include "model/roles.h"

#include <gtest/gtest.h>

#include <set>

namespace strata::model {
namespace roles_test {

TEST(Roles, EveryRoleHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(Role::other); ++i) {
    const Role role = static_cast<Role>(i);
    EXPECT_EQ(role_row(role).role, role);
    EXPECT_TRUE(names.insert(role_name(role)).second) << role_name(role);
  }
}

TEST(Roles, LinearsAreNamedWithinTheirPartOfTheBlock) {
  Names names;
  EXPECT_EQ(names.linear(Role::q), "self_attn.q_proj");
  EXPECT_EQ(names.linear(Role::down), "mlp.down_proj");
  EXPECT_EQ(names.linear(Role::in_z), "linear_attn.in_proj_z");
  EXPECT_EQ(names.linear(Role::embed_gate), "per_layer_input_gate");
  names.attention = "mixer";
  names.root = "backbone.";
  names.head_root = "language_model.";
  EXPECT_EQ(names.linear(Role::o), "mixer.o_proj");
  EXPECT_EQ(names.linear(Role::embed), "backbone.embed_tokens");
  EXPECT_EQ(names.linear(Role::lm_head), "language_model.lm_head");
}

TEST(Roles, OnlyLinearsOfModelsThatAreNotRunReadAtNoSite) {
  for (int i = 0; i <= static_cast<int>(Role::other); ++i)
    EXPECT_EQ(role_row(static_cast<Role>(i)).site.has_value(), static_cast<Role>(i) != Role::other) << i;
  EXPECT_EQ(role_row(Role::kv_b).site, Site::kv_b_in);
  EXPECT_EQ(role_row(Role::in_bcx).site, Site::attn_in);
}

}  // namespace roles_test
}  // namespace strata::model
