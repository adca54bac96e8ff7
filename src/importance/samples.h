// Values by item and calibration sequence, of which a signal is the mean over sequences: with standard errors, and with
// the means of the two halves of the set, whose agreement tells how far a ranking can be trusted.
#pragma once
#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "core/statistics.h"

namespace strata::importance {

/// The value of every item (block, linear, fusion group) in every sequence, in the order of the calibration set. An
/// item without values could not be measured.
using Samples = std::vector<std::vector<double>>;

/// Mean and standard error of every item; 0 for one without values.
std::vector<Estimate> estimates(const Samples& samples);

/// How many sequences the first half has: one less than the second when their number is odd. Halves need two sequences.
inline std::size_t first_half(std::size_t sequences) { return sequences / 2; }

/// Means over the first and over the second half of the sequences. At least two values.
std::array<double, 2> half_means(std::span<const double> values);

}  // namespace strata::importance
