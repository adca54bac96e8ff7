// Mapped pages count as well: the system can take them back, but a model beyond the memory would be read from the disk
// again and again where it could be read block by block.
#include "engine/residency.h"

#include "core/cpu.h"

namespace strata::engine {

std::optional<std::uint64_t> fitting_bytes(const model::Model& model) {
  std::uint64_t bytes = 0;
  for (const model::TensorInfo& tensor : model.tensors()) bytes += tensor.bytes;
  for (const model::Linear& linear : model.architecture().linears) bytes += model.copied_bytes(linear);
  return bytes > physical_memory_bytes() / 2 ? std::nullopt : std::optional(bytes);
}

Residency resolved(Residency residency, const model::Model& model) {
  if (residency != Residency::fitting) return residency;
  return fitting_bytes(model) ? Residency::all : Residency::one_block;
}

}  // namespace strata::engine
