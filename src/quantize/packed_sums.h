// Sums as one rank sends them to another.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "quantize/drift.h"
#include "quantize/hessian.h"

namespace strata::quantize {

/// A Hessian's tokens, and its sums below and on the diagonal; those above it are not set where it is unpacked.
std::size_t packed_bytes(const Hessian& sum);
std::vector<std::byte> packed(Hessian& sum);
void unpack(std::span<const std::byte> bytes, Hessian& sum);

std::size_t packed_bytes(const CrossMoment& sum);
std::vector<std::byte> packed(CrossMoment& sum);
void unpack(std::span<const std::byte> bytes, CrossMoment& sum);

}  // namespace strata::quantize
