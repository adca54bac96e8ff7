// The rows of the family table of dense blocks whose norms have biases.
#pragma once
#include <span>

#include "model/families.h"

namespace strata::model {

std::span<const Family> norm_bias_families();

}  // namespace strata::model
