// The table of roles: what is the same for all linears of a role. Everybody who asks what a role is called, or where
// its linears read, asks here.
#pragma once
#include <optional>
#include <string_view>

#include "model/site.h"
#include "model/tensor_names.h"

namespace strata::model {

struct RoleRow {
  Role role;
  std::string_view name;  ///< in files, options and messages
  /// The site that the role's linears read, but for some of routed experts (engine::input_site); none: only models that
  /// are not run have such linears.
  std::optional<Site> site = std::nullopt;
  /// The name that a family's files have for the linear: `linear`, below `module` where that is not null. Both null: it
  /// is not named by its role.
  std::string_view TensorNames::*module = nullptr;
  std::string_view TensorNames::*linear = nullptr;
};

const RoleRow& role_row(Role role);

}  // namespace strata::model
