// Two stable sorts by falling mean square: stretches by their largest, then the columns of each.
#include "quantize/activation_order.h"

#include <algorithm>
#include <numeric>

namespace strata::quantize {

std::vector<std::uint32_t> activation_order(const codec::Codec& codec, std::span<const float> mean_squares) {
  const std::size_t cols = mean_squares.size();
  if (!codec.has_codes()) return {};
  const bool whole_rows = codec.group_size == 0, single = codec.super_size == 0 && codec.vector_size == 1;
  const std::size_t unit = whole_rows ? codec.vector_size : codec.fit_size(cols);
  if (cols % unit != 0) return {};
  std::vector<std::uint32_t> units(cols / unit);
  std::iota(units.begin(), units.end(), 0u);
  const auto largest = [&](std::uint32_t u) { return *std::ranges::max_element(mean_squares.subspan(u * unit, unit)); };
  std::ranges::stable_sort(units, std::ranges::greater(), largest);
  std::vector<std::uint32_t> order;
  order.reserve(cols);
  for (const std::uint32_t u : units)
    for (std::size_t i = 0; i < unit; ++i) order.push_back(static_cast<std::uint32_t>(u * unit + i));
  if (single)
    for (std::size_t begin = 0; begin < cols; begin += unit)
      std::ranges::stable_sort(order.begin() + static_cast<std::ptrdiff_t>(begin),
                               order.begin() + static_cast<std::ptrdiff_t>(begin + unit), std::ranges::greater(),
                               [&](std::uint32_t c) { return mean_squares[c]; });
  return std::ranges::is_sorted(order) ? std::vector<std::uint32_t>() : order;
}

}  // namespace strata::quantize
