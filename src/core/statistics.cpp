// Two passes for the variance: no cancellation when the mean is large.
// A quantile sorts only as far as it needs to.
#include "core/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

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

namespace {

std::vector<double> ranks(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t x, std::size_t y) { return values[x] < values[y]; });
  std::vector<double> result(values.size());
  for (std::size_t first = 0; first < order.size();) {
    std::size_t end = first + 1;  // past a value that is not even equal to itself, too
    while (end < order.size() && values[order[end]] == values[order[first]]) ++end;
    for (std::size_t i = first; i < end; ++i) result[order[i]] = 0.5 * static_cast<double>(first + end - 1);
    first = end;
  }
  return result;
}

}  // namespace

double spearman(std::span<const double> a, std::span<const double> b) {
  STRATA_CHECK(a.size() == b.size() && a.size() >= 2, "{} and {} values", a.size(), b.size());
  const std::vector<double> x = ranks(a), y = ranks(b);
  const double mean = 0.5 * static_cast<double>(a.size() - 1);
  double xy = 0, xx = 0, yy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mean) * (y[i] - mean);
    xx += (x[i] - mean) * (x[i] - mean);
    yy += (y[i] - mean) * (y[i] - mean);
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : 0.0;
}

}  // namespace strata
