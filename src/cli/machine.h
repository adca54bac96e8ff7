// What `strata --version --verbose` and `strata bench` say of the machine.
#pragma once
#include <string>
#include <string_view>

#include "core/json.h"

namespace strata::cli {

/// The chosen variant of the kernels and all that could have been, by their speed of products in bf16: lines for
/// people, and an entry each. Takes about `seconds`.
struct KernelChoice {
  std::string text;
  json entries;
  /// Empty, or what is wrong: another variant is more than a tenth faster than the chosen one.
  std::string mistake;
};
KernelChoice kernel_choice(double seconds);

/// Prints the version, the processor, its memory and the choice.
void show_machine(std::string_view version);

}  // namespace strata::cli
