// The rows of families like GPT-2, a part of families().
#pragma once
#include <span>

#include "model/families.h"

namespace strata::model {

std::span<const Family> gpt_families();

}  // namespace strata::model
