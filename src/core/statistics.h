// Means with their standard errors, and quantiles: what a measurement is reported with.
// Sums are in double and in the order of the values, so that they do not depend on how the values were made.
#pragma once
#include <optional>
#include <span>
#include <vector>

namespace strata {

struct Estimate {
  double mean = 0.0;
  std::optional<double> standard_error;  ///< sample standard deviation (n - 1) / sqrt(n); none for a single value
};

/// Mean and standard error of at least one value.
Estimate estimate(std::span<const double> values);

/// The quantile at `share` in [0, 1], interpolated linearly between the neighbours (numpy's default). At least one
/// value.
double quantile(std::vector<double> values, double share);

/// Spearman's rank correlation of two lists of equal size, with at least two values each. Equal values share their mean
/// rank; the result is 0 when either side is constant.
double spearman(std::span<const double> a, std::span<const double> b);

}  // namespace strata
