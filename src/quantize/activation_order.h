// The order in which error feedback rounds the columns of a linear: inputs that are large first, while there are many
// columns left that can make good for an error. (GPTQ's "act-order", within what the codec's groups allow, so that
// nothing of it is stored.)
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "codec/codec.h"

namespace strata::quantize {

/// The column for each position, for a linear whose inputs have these mean squares (or any multiple of them). Stretches
/// that the codec fits together stay together, and the one with the largest input comes first. Within a stretch the
/// columns come by falling input too, where the codec rounds each on its own. Equals keep their order. The result is
/// empty when rising order is the only one.
std::vector<std::uint32_t> activation_order(const codec::Codec& codec, std::span<const float> mean_squares);

}  // namespace strata::quantize
