// Two passes for the variance: no cancellation when the mean is large.
// A quantile sorts only as far as it needs to.
#include "core/statistics.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace strata {

Estimate estimate(std::span<const double> values) {
  STRATA_CHECK(!values.empty());
  const auto count = static_cast<double>(values.size());
  double sum = 0.0;
  for (const double v : values) sum += v;
  Estimate result;
  result.mean = sum / count;
  if (values.size() < 2) return result;
  double squares = 0.0;
  for (const double v : values) squares += (v - result.mean) * (v - result.mean);
  result.standard_error = std::sqrt(squares / (count - 1.0) / count);
  return result;
}

double quantile(std::vector<double> values, double share) {
  STRATA_CHECK(!values.empty() && share >= 0.0 && share <= 1.0, "{} values, share {}", values.size(), share);
  const double place = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(below);
  std::nth_element(values.begin(), at, values.end());
  if (below + 1 == values.size()) return *at;
  const double above = *std::min_element(at + 1, values.end());
  return *at + (above - *at) * (place - static_cast<double>(below));
}

}  // namespace strata
