// Holds a model's tensors against its architecture when it is opened, so that whatever is wrong with the files is found
// out before any work starts. Tensors of parts that the engine does not run are found here too.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"
#include "model/model.h"

namespace strata::model {

/// "[576, 1536]".
std::string shape_text(const std::vector<std::uint64_t>& shape);

/// Returns the tensors that no part of the text model reads: vision towers, projectors, other heads, blocks that
/// predict several tokens at once. A GGUF file (`gguf`) has none, as all of its tensors are the text model's. `where`
/// names the model in errors. Throws Error naming the tensor that is missing, of another shape, or in a block that the
/// engine runs although the architecture has no such tensor, and the layout that it looks like.
std::vector<TensorInfo> check_tensors(const Architecture& architecture, const json& config, const TensorSource& source,
                                      bool gguf, const std::string& where);

}  // namespace strata::model
