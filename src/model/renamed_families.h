// Rows of the family table: llama's blocks with other names of tensors and other keys of config.json.
// families() has them with all others.
#pragma once
#include <span>

#include "model/families.h"

namespace strata::model {

std::span<const Family> renamed_families();

}  // namespace strata::model
