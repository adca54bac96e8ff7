// The functions of the table of presets; each pair stands in the file that is named above it.
#pragma once
#include "pipeline/choose/presets.h"

namespace strata::pipeline {

// knapsack.cpp
Assignment smallest_choices(const Problem& problem);
Made make_best(const Problem& problem, ByteLimit limit);
Made make_prior(const Problem& problem, ByteLimit limit);
// lwq.cpp
Assignment smallest_lwq(const Problem& problem);
Made make_lwq(const Problem& problem, ByteLimit limit);
// three_tier.cpp
Assignment smallest_three_tier(const Problem& problem);
Made make_three_tier(const Problem& problem, ByteLimit limit);
// uniform.cpp
Assignment smallest_uniform(const Problem& problem);
Made make_uniform(const Problem& problem, ByteLimit limit);
// stock.cpp
Assignment smallest_stock(const Problem& problem);
Made make_stock(const Problem& problem, ByteLimit limit);

}  // namespace strata::pipeline
