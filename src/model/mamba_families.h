// The rows of the family table whose blocks have Mamba-1 or Mamba-2.
#pragma once
#include <span>

#include "model/families.h"

namespace strata::model {

std::span<const Family> mamba_families();

}  // namespace strata::model
