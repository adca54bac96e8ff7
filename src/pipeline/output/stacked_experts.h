// All experts of a block in the stacks that a dense folder holds them in.
#pragma once
#include "model/model.h"
#include "pipeline/output/dense_rows.h"

namespace strata::pipeline {

/// Whether a folder with these codecs, one for each linear, holds its experts in Model::stacks(): none of them has
/// codes, and nothing else has either, except where runtimes know the family's experts as stacks alone.
bool stacks_experts(const model::Model& model, const std::vector<const codec::Codec*>& codecs);

/// A stack as `dtype`, an expert at a time, put together from the experts' own tensors, whose mapped pages are
/// released. Throws what dense_matrix throws.
void dense_stack(const model::Model& model, const model::Stack& stack, DType dtype, const TakeBytes& take);

}  // namespace strata::pipeline
