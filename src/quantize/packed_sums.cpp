// The triangle is packed row by row.
// Everything else is bytes as they lie.
#include "quantize/packed_sums.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace strata::quantize {
namespace {

/// body(row's bytes, their place in the packed triangle), for every row up to its diagonal.
template <class Body>
void over_triangle(Hessian& sum, Body body) {
  const auto [tokens, sums] = sum.memory();
  std::size_t place = tokens.size();
  for (std::size_t r = 0; r < sum.size(); ++r) {
    const std::span<std::byte> row = sums.subspan(r * sum.size() * sizeof(float), (r + 1) * sizeof(float));
    body(row, place);
    place += row.size();
  }
}

}  // namespace

std::size_t packed_bytes(const Hessian& sum) {
  return sizeof(std::size_t) + sum.size() * (sum.size() + 1) / 2 * sizeof(float);
}

std::vector<std::byte> packed(Hessian& sum) {
  std::vector<std::byte> bytes(packed_bytes(sum));
  std::ranges::copy(sum.memory()[0], bytes.begin());
  over_triangle(sum, [&](std::span<const std::byte> row, std::size_t place) {
    std::memcpy(bytes.data() + place, row.data(), row.size());
  });
  return bytes;
}

void unpack(std::span<const std::byte> bytes, Hessian& sum) {
  STRATA_CHECK(bytes.size() == packed_bytes(sum), "{} bytes for a Hessian of {}", bytes.size(), sum.size());
  const std::span<std::byte> tokens = sum.memory()[0];
  std::memcpy(tokens.data(), bytes.data(), tokens.size());
  over_triangle(sum, [&](std::span<std::byte> row, std::size_t place) {
    std::memcpy(row.data(), bytes.data() + place, row.size());
  });
}

std::size_t packed_bytes(const CrossMoment& sum) { return sum.sums().size() * sizeof(float); }

std::vector<std::byte> packed(CrossMoment& sum) {
  const std::span<std::byte> bytes = sum.memory()[0];
  return {bytes.begin(), bytes.end()};
}

void unpack(std::span<const std::byte> bytes, CrossMoment& sum) {
  STRATA_CHECK(bytes.size() == packed_bytes(sum), "{} bytes for a moment of {}", bytes.size(), packed_bytes(sum));
  std::memcpy(sum.memory()[0].data(), bytes.data(), bytes.size());
}

}  // namespace strata::quantize
