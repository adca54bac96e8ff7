// Rows of the family table: Gemma's families of dense blocks.
// families() has them with all others.
#pragma once
#include <span>

#include "model/families.h"

namespace strata::model {

std::span<const Family> gemma_families();

}  // namespace strata::model
