// Messages that a rank sends and receives at the same time, so that all ranks can send to each other at once.
#pragma once
#include <cstddef>
#include <span>

#include "core/ranks.h"

namespace strata {

/// Sends bytes to one rank while it receives others from another one, which both know the sizes; either may be empty.
/// Returns when both have come through.
void exchange(const Ranks& ranks, std::size_t to, std::span<const std::byte> sent, std::size_t from,
              std::span<std::byte> received);

}  // namespace strata
