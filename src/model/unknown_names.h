// What the names of an unknown model's tensors tell (unknown.h): numbers of blocks and experts, what a matrix does, and
// which matrices runtimes fuse.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/tensor_names.h"

namespace strata::model {

inline constexpr std::size_t kLongestName = 500;  ///< longer names are not looked into
inline constexpr std::string_view kExperts = "experts.";

/// A number between two points of a name, and what stands before and behind it: views into the name.
struct NameSplit {
  std::string_view before, rest;
  std::size_t number;
};
/// All numbers of at most six digits, without leading zeros, in their order.
std::vector<NameSplit> splits_of(std::string_view name);

/// The expert that a module belongs to: `before` ends in "experts.".
std::optional<NameSplit> expert_of(std::string_view module);

std::string_view last_of(std::string_view module);

/// What the last component of a module's name says; Role::other when it says nothing.
Role role_of(std::string_view module);

/// The name of the group of matrices that runtimes fuse a module with, which is the module's own without such: all
/// experts of a block; q, k and v; gate and up.
std::string group_of(const std::string& module);

}  // namespace strata::model
