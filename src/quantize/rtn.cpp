// Round to nearest over stretches of rows, which are the units of parallel work.
// Stretches are cut by rows alone, and their sums added in order, so that the thread count changes nothing.
#include "quantize/rtn.h"

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "core/threads.h"

namespace strata::quantize {
namespace {

constexpr std::size_t kStretchRows = 32;  // the alignment that codec::encode_rows asks for

/// Calls body(first row, rows) for every stretch, in parallel.
template <class Body>
void for_each_stretch(std::size_t rows, const Body& body) {
  parallel_for((rows + kStretchRows - 1) / kStretchRows, [&](std::size_t i) {
    const std::size_t row = i * kStretchRows;
    body(row, std::min(kStretchRows, rows - row));
  });
}

/// The two sums of one row, in eight running sums each: the order is fixed, and a compiler keeps them in vectors.
WeightedError row_error(std::span<const float> weights, std::span<const float> decoded,
                        std::span<const float> importance) {
  constexpr std::size_t kSums = 8;
  double errors[kSums] = {}, energies[kSums] = {};
  const auto add = [&](std::size_t i, std::size_t k) {
    const double w = weights[i], d = w - static_cast<double>(decoded[i]), h = importance[i];
    errors[k] += h * (d * d);
    energies[k] += h * (w * w);
  };
  std::size_t i = 0;
  for (; i + kSums <= weights.size(); i += kSums)
    for (std::size_t k = 0; k < kSums; ++k) add(i + k, k);
  for (; i < weights.size(); ++i) add(i, i % kSums);
  const auto total = [](const double* s) { return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7])); };
  return {total(errors), total(energies)};
}

}  // namespace

codec::Stored quantize_rtn(const codec::Codec& codec, const MatrixView& weights, std::span<const float> importance,
                           codec::ScaleFit fit, float tensor_scale) {
  const std::string why = codec::why_not(codec, weights.rows, weights.cols);
  STRATA_CHECK(why.empty(), "{}: {}", codec.name, why);
  codec::Stored out = codec::allocate(codec, weights.rows, weights.cols);
  for_each_stretch(weights.rows, [&](std::size_t row, std::size_t rows) {
    codec::encode_rows(codec, weights, importance, fit, tensor_scale, row, rows, out);
  });
  return out;
}

WeightedError weighted_error(const codec::Codec& codec, const MatrixView& weights, std::span<const float> importance,
                             codec::ScaleFit fit, float tensor_scale) {
  std::vector<float> ones;
  if (importance.empty()) {
    ones.assign(weights.cols, 1.0f);
    importance = ones;
  }
  std::vector<WeightedError> of_row(weights.rows);
  for_each_stretch(weights.rows, [&](std::size_t row, std::size_t rows) {
    std::vector<float> w(weights.cols), decoded(weights.cols);
    std::vector<codec::GroupParams> groups(codec.groups_per_row(weights.cols));
    for (std::size_t r = row; r < row + rows; ++r) {
      codec::widen_row(weights, r, w);
      codec::fit_row(codec, w, importance, fit, tensor_scale, groups);
      codec::round_trip_row(codec, w, importance, groups, decoded);
      of_row[r] = row_error(w, decoded, importance);
    }
  });
  WeightedError total;
  for (const WeightedError& row : of_row) {
    total.error += row.error;
    total.energy += row.energy;
  }
  return total;
}

}  // namespace strata::quantize
