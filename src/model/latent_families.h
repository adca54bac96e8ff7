// The rows of the family table that are mixtures of experts with latent attention.
// families.cpp, which has the others, puts all together.
#pragma once
#include <span>

#include "model/families.h"

namespace strata::model {

std::span<const Family> latent_families();

}  // namespace strata::model
