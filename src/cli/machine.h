// What `strata --version --verbose` and `strata bench` say of the machine.
#pragma once
#include <string>

#include "cli/verb.h"
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

/// Prints the version, and with `verbose` the processor, its memory and the choice of its kernels.
void show_version(bool verbose, const Common& common);

}  // namespace strata::cli
