// Arithmetic on sizes that come from files: a product or sum that overflows is the file's fault, never a wrap-around.
// Every length, offset and shape passes through here before it is used.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/error.h"

namespace strata {

/// a * b, or nothing when it does not fit in 64 bits.
inline std::optional<std::uint64_t> multiply(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

/// a + b, or nothing when it does not fit in 64 bits.
inline std::optional<std::uint64_t> add(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

/// Product of all extents (1 for none), or nothing when it does not fit in 64 bits.
inline std::optional<std::uint64_t> product(std::span<const std::uint64_t> extents) {
  std::uint64_t result = 1;
  for (const std::uint64_t extent : extents)
    if (__builtin_mul_overflow(result, extent, &result)) return std::nullopt;
  return result;
}

/// True when [offset, offset + size) lies within `total`, whatever the values.
inline bool within(std::uint64_t offset, std::uint64_t size, std::uint64_t total) {
  return offset <= total && size <= total - offset;
}

inline constexpr std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) { return a / b + (a % b != 0); }
inline constexpr std::uint64_t round_up(std::uint64_t a, std::uint64_t b) { return ceil_div(a, b) * b; }

}  // namespace strata
