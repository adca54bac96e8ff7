// How much of a model an Engine holds in memory.
// Results do not depend on it; time does, where weights are decoded or read again.
#pragma once
#include <cstdint>
#include <optional>

#include "model/model.h"

namespace strata::engine {

enum class Residency {
  all,        ///< every block's weights, once it was run
  one_block,  ///< one block's; in a mixture one expert's
  fitting,    ///< all where that takes at most half of the memory that this process may use, else one block's
};

/// Bytes in memory when every block is held: the model's mapped files, and copies of what is decoded or turned. Nothing
/// where these are more than half of the memory, so that one block is held.
std::optional<std::uint64_t> fitting_bytes(const model::Model& model);

/// Returns all or one_block in place of fitting.
Residency resolved(Residency residency, const model::Model& model);

}  // namespace strata::engine
