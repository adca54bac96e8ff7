// Scans weights for their range and for values that are not finite.
// Rows are independent; the maximum does not depend on the order.
#include "quantize/scan.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "core/error.h"
#include "core/threads.h"

namespace strata::quantize {

float checked_absmax(const MatrixView& weights, const std::string& where, const std::string& name) {
  constexpr std::size_t stretch = 64;
  const std::size_t stretches = (weights.rows + stretch - 1) / stretch;
  std::vector<float> largest(stretches, 0.0f);
  parallel_for(stretches, [&](std::size_t s) {
    std::vector<float> row(weights.cols);
    const std::size_t end = std::min(weights.rows, (s + 1) * stretch);
    for (std::size_t r = s * stretch; r < end; ++r) {
      read_row(weights, r, 0, weights.cols, row.data());
      // Magnitudes are ordered as their bits are, with infinities and NaNs above all numbers; as integers their
      // maximum is vectorized.
      std::uint32_t most = 0;
      for (const float w : row) most = std::max(most, std::bit_cast<std::uint32_t>(w) & 0x7FFFFFFFu);
      largest[s] = std::max(largest[s], most < 0x7F800000u ? std::bit_cast<float>(most) : INFINITY);
    }
  });
  const float absmax = largest.empty() ? 0.0f : *std::max_element(largest.begin(), largest.end());
  if (std::isfinite(absmax)) return absmax;
  std::vector<float> row(weights.cols);
  for (std::size_t r = 0; r < weights.rows; ++r) {
    read_row(weights, r, 0, weights.cols, row.data());
    for (std::size_t c = 0; c < weights.cols; ++c)
      if (!std::isfinite(row[c]))
        fail("{}: {}: weight [{}, {}] is {}; the file is damaged or training diverged", where, name, r, c, row[c]);
  }
  STRATA_CHECK(false, "{}", name);
}

}  // namespace strata::quantize
