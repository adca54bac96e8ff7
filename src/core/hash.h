// A fast hash of bytes, for fingerprints of content.
// It is not a defence against forgery.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace strata {

/// FNV-1a, 64 bits. seed: the hash of the bytes before these, or the default for none.
inline std::uint64_t fnv1a(std::span<const std::byte> bytes, std::uint64_t seed = 0xCBF29CE484222325u) {
  for (const std::byte b : bytes) seed = (seed ^ static_cast<std::uint64_t>(b)) * 0x100000001B3u;
  return seed;
}

}  // namespace strata
