// The order in which error feedback rounds the columns of a linear: inputs that are large first, while there are many
// columns left that can make good for an error. (GPTQ's "act-order", within what the codec's groups allow, so that
// nothing of it is stored.)
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "codec/codec.h"

namespace strata::quantize {

/// Position -> column of a linear whose inputs have these mean squares (or any multiple): stretches that the codec fits
/// together stay together, the one with the largest input first; columns fall within a stretch, too, where the codec
/// rounds each on its own. Ties keep their order. Empty when rising order is the only one.
std::vector<std::uint32_t> activation_order(const codec::Codec& codec, std::span<const float> mean_squares);

}  // namespace strata::quantize
