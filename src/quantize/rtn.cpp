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

/// importance * difference^2 in eight running sums, which the compiler keeps in vectors.
double squared_sum(std::span<const float> a, const float* b, std::span<const float> importance) {
  double sums[8] = {};
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = static_cast<double>(a[i]) - (b == nullptr ? 0.0 : static_cast<double>(b[i]));
    sums[i % 8] += (importance.empty() ? 1.0 : static_cast<double>(importance[i])) * (difference * difference);
  }
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
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
  std::vector<WeightedError> of_row(weights.rows);
  for_each_stretch(weights.rows, [&](std::size_t row, std::size_t rows) {
    std::vector<float> w(weights.cols), decoded(weights.cols);
    std::vector<codec::GroupParams> groups(codec.groups_per_row(weights.cols));
    for (std::size_t r = row; r < row + rows; ++r) {
      read_row(weights, r, 0, weights.cols, w.data());
      codec::fit_row(codec, w, importance, fit, tensor_scale, groups);
      codec::round_trip_row(codec, w, groups, decoded);
      of_row[r] = {squared_sum(w, decoded.data(), importance), squared_sum(w, nullptr, importance)};
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
