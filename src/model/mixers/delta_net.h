// How the channels of a gated delta net lie in files: asked by what lists the tensors, reads them and multiplies by
// them.
#pragma once
#include <cstddef>
#include <string_view>
#include <vector>

#include "model/block_attention.h"
#include "model/linears.h"

namespace strata::model {

/// Neighbouring channels of a block that one linear makes (but DeltaNet::by_key_heads, where one makes z too) and one
/// tensor, (size, 1, kernel), has the convolution of.
struct DeltaStretch {
  Role role;
  std::string_view convolution;  ///< within the mixer
  std::size_t first, size;
};
/// All of them, in the order of the channels: q, k and v.
std::vector<DeltaStretch> delta_stretches(const DeltaNet& net);

}  // namespace strata::model
