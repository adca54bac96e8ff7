// A hash of what tensors hold, from samples: a model is told from another without reading hundreds of gigabytes.
// It is a part of the fingerprint that scores, plans and journals carry, so its samples never change.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace strata::model {

/// The hash of the tensors' bytes in their order. Of each tensor 16 stretches of 256 bytes count, or all of it when it
/// is smaller. The bytes must be parts of mapped files, whose pages are dropped afterwards.
std::uint64_t content_hash(const std::vector<std::span<const std::byte>>& tensors);

}  // namespace strata::model
