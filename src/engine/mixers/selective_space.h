// What both passes of Mamba-1 share: what it holds beside its linears, and the parts of what dtbc puts out.
#pragma once
#include <cstddef>

#include "engine/block_weights.h"
#include "engine/mixers/convolve.h"
#include "kernel/selective_scan.h"
#include "model/model.h"

namespace strata::engine {

/// What a block holds beside its linears.
SelectiveWeights read_selective(const model::Model& model, std::size_t block);
/// Views of these weights, which must outlive them.
TimeConvolution convolution_of(const SelectiveWeights& weights, const model::SelectiveSpace& sizes, std::size_t block);
kernel::SelectiveScanWeights scan_of(const SelectiveWeights& weights, const model::SelectiveSpace& sizes);

/// The parts of what dtbc puts out: what dt reads, (tokens, rank), and b and c, (tokens, state) each.
struct SelectiveParts {
  float *steps, *b, *c;
};
/// Fills the parts from rows of dtbc, (tokens, rows).
void take_parts(const float* dtbc, std::size_t tokens, const model::SelectiveSpace& sizes, const SelectiveParts& parts);
/// Divides the parts by their root mean square where the family does so; in place.
void norm_parts(const SelectiveParts& parts, std::size_t tokens, const model::SelectiveSpace& sizes);

}  // namespace strata::engine
