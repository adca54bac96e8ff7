// Comparison of floats for tests of what must agree bit for bit.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

namespace strata {

/// The same bits, or both NaN: which NaN it is, is nobody's promise.
inline bool same(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) || std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

}  // namespace strata
