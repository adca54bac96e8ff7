// What a runtime needs beside the weights: the KV cache and the runtime's own memory.
// The formula is documented in docs/allocation.md; it is an estimate, rounded up.
#pragma once
#include <cstdint>

#include "pipeline/plan/request.h"
#include "pipeline/plan/target.h"

namespace strata::pipeline {

/// A program and its libraries.
inline constexpr std::uint64_t kRuntimeOnCpu = 256u << 20;

struct MemoryNeeds {
  std::uint64_t kv_cache = 0;  ///< keys and values in 16 bits, for all sequences of the batch
  std::uint64_t buffers = 0;   ///< activations of the tokens in flight, and logits
  std::uint64_t runtime = 0;   ///< the program, its libraries, a GPU's context
  std::uint64_t total() const { return kv_cache + buffers + runtime; }
};

/// Throws Error when a size passes 2^63.
MemoryNeeds memory_beside_weights(const model::Architecture& architecture, const Target& target,
                                  const MemoryBudget& budget);

/// Bytes that the output may have. Throws Error, listing the parts, when nothing is left.
std::uint64_t size_that_fits(const model::Architecture& architecture, const Target& target, const MemoryBudget& budget);

}  // namespace strata::pipeline
