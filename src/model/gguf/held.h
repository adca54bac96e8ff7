// What a GGUF file holds each linear of a model in: types and bytes, without reading a weight.
// The file may be of any writer, and of types that are known by their size only.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "format/gguf.h"
#include "model/architecture.h"

namespace strata::model {

struct HeldLinear {
  std::uint32_t type = 0;   ///< ggml type number; of a linear in several tensors, the one of the largest
  std::uint64_t bytes = 0;  ///< of all that the file holds for it: an embedding that is the head too may be there twice
};

/// By index into Architecture::linears, whose fusion is Fusion::single. `where` opens errors. Throws Error for a file
/// of another model: another number of blocks, a tensor that is missing or has another shape; and for a tensor whose
/// type is not known here.
std::vector<HeldLinear> held_linears(const Architecture& architecture, const format::GgufFile& gguf,
                                     const std::string& where);

}  // namespace strata::model
