// Means over sequences and over halves of them.
// Sums are in the order of the calibration set.
#include "importance/samples.h"

#include "core/error.h"

namespace strata::importance {

std::vector<Estimate> estimates(const Samples& samples) {
  std::vector<Estimate> result;
  for (const std::vector<double>& values : samples) result.push_back(values.empty() ? Estimate{} : estimate(values));
  return result;
}

std::array<double, 2> half_means(std::span<const double> values) {
  STRATA_CHECK(values.size() >= 2, "{} values", values.size());
  const std::size_t first = first_half(values.size());
  return {estimate(values.subspan(0, first)).mean, estimate(values.subspan(first)).mean};
}

}  // namespace strata::importance
