// How files hold the convolution of a gated delta net: asked by what lists the tensors and by what reads them.
#pragma once
#include <cstddef>
#include <string_view>
#include <vector>

#include "model/block_attention.h"

namespace strata::model {

/// A tensor with weights of the convolution over time, (channels, 1, kernel).
struct DeltaConvolution {
  std::string_view name;  ///< within the mixer
  std::size_t channels;
};
/// Those of a block, in the order of the channels: q, k and v.
std::vector<DeltaConvolution> delta_convolutions(const DeltaNet& net);

}  // namespace strata::model
