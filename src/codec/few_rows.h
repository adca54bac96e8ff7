// The arguments of the products of stored rows with a few rows of activations.
// Plain types only, as in variant.h.
#pragma once
#include <cstddef>
#include <cstdint>

namespace strata::codec {

/// A few rows of activations beside which rows of weights are read once: element (t, c) at data[t * stride + c]. Zeros
/// fill the columns up to a multiple of 16, and, with more than one token, the rows up to a multiple of kTogether.
struct FewRows {
  const float* data;
  std::size_t stride, tokens, cols;
};
inline constexpr std::size_t kTogether = 4;

/// The scales of the groups of a row: values[g], or values[codes[g]] of a table of all 256.
struct Scales {
  const float* values;
  const std::uint8_t* codes;
};
/// How the codes of a row of integers lie: `bits` (2, 3, 4, 5, 6 or 8) each in a little-endian bit stream, or signed
/// bytes.
struct IntegerCodes {
  const std::uint8_t* data;
  unsigned bits;
  bool signed_bytes;
};

}  // namespace strata::codec
