// Which of a file's tensors are the text model's: what stands before the family's names of them. A wrapper puts its own
// name there, "model.language_model.", and some tools leave out "model.".
#pragma once
#include <span>

#include "model/architecture.h"
#include "model/tensors.h"

namespace strata::model {

/// Fills Names::root and Names::head_root from the tensors of a file, and lists the linears by these names. Without an
/// embedding of the expected shape the names stay as they are.
void find_names(Architecture& architecture, std::span<const ExpectedTensor> present);

}  // namespace strata::model
