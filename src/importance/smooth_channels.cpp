// The largest magnitudes of channels do not depend on the order of rows, so that batches, threads and ranks do not
// change them.
#include "importance/smooth_channels.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>

#include "core/checked.h"
#include "core/threads.h"

namespace strata::importance {
namespace {

using model::SmoothSite;

constexpr std::size_t kPieceColumns = 128;
constexpr int kMostExponent = 20;  // either way; a weight may be scaled by its row and by its column

/// The largest magnitudes that a pass sees at smooth sites, by site: (size).
class LargestInputs {
 public:
  explicit LargestInputs(std::span<const SmoothSite> sites) : sites_(sites) {
    for (const SmoothSite& site : sites) largest_.emplace_back(site.size, 0.0f);
  }

  void observe(const SiteRows& rows) {
    for (std::size_t i = 0; i < sites_.size(); ++i) {
      if (sites_[i].block != rows.block || sites_[i].site != rows.site) continue;
      STRATA_CHECK(rows.size == sites_[i].size, "rows of {} at a site of {}", rows.size, sites_[i].size);
      parallel_for(ceil_div(rows.size, kPieceColumns), [&](std::size_t piece) {
        const std::size_t first = piece * kPieceColumns, end = std::min(rows.size, first + kPieceColumns);
        for (std::size_t t = 0; t < rows.sequences * rows.tokens; ++t)
          for (std::size_t c = first; c < end; ++c)
            largest_[i][c] = std::max(largest_[i][c], std::fabs(rows.rows[t * rows.size + c]));
      });
    }
  }
  void share(std::size_t block, const Ranks& ranks) {
    for (std::size_t i = 0; i < sites_.size(); ++i)
      if (sites_[i].block == block) ranks.share_largest(std::span(largest_[i]));
  }
  const std::vector<float>& of(std::size_t site) const { return largest_[site]; }

 private:
  std::span<const SmoothSite> sites_;
  std::vector<std::vector<float>> largest_;
};

/// Magnitudes of numbers that are scaled together: the largest, and the least that is not 0.
struct Range {
  float largest = 0.0f, least = std::numeric_limits<float>::infinity();
  void add(float value) {
    const float magnitude = std::fabs(value);
    largest = std::max(largest, magnitude);
    if (magnitude > 0.0f) least = std::min(least, magnitude);
  }
  /// Whether all keep their significands when they are multiplied by 2^exponent, and by 2^kMostExponent besides.
  bool holds(int exponent) const {
    const bool small = exponent < 0 && std::ldexp(least, exponent - kMostExponent) < FLT_MIN;
    return !small && std::ldexp(largest, std::max(exponent, 0) + kMostExponent) < FLT_MAX / 2;
  }
};

/// Adds the columns of a linear to the ranges of channels.
void add_columns(const model::Model& model, const model::Linear& linear, std::vector<Range>& channels) {
  const model::LinearWeights weights = model.weights(linear);
  const MatrixView& view = weights.view().dense;
  parallel_for(ceil_div(view.cols, kPieceColumns), [&](std::size_t piece) {
    const std::size_t first = piece * kPieceColumns, count = std::min(kPieceColumns, view.cols - first);
    float row[kPieceColumns];
    for (std::size_t r = 0; r < view.rows; ++r) {
      read_row(view, r, first, count, row);
      for (std::size_t c = 0; c < count; ++c) {
        if (!std::isfinite(row[c]))
          fail("{}: {}.weight: weight [{}, {}] is {}; the file is damaged or training diverged", model.path().string(),
               linear.module, r, first + c, row[c]);
        channels[first + c].add(row[c]);
      }
    }
  });
  model.release(linear.module + ".weight");
}

void add_rows(const model::Model& model, const model::Linear& linear, std::vector<Range>& channels) {
  const model::LinearWeights weights = model.weights(linear);
  const MatrixView& view = weights.view().dense;
  parallel_for(view.rows, [&](std::size_t r) {
    std::vector<float> row(view.cols);
    read_row(view, r, 0, view.cols, row.data());
    for (const float w : row) channels[r].add(w);
  });
}

/// What makes a site's channels: the weights of a norm or the rows of up, and their biases.
std::vector<Range> makers(const model::Model& model, const SmoothSite& site) {
  std::vector<Range> channels(site.size);
  std::vector<float> values;
  if (site.norm) {
    values = model.norm(*site.norm, site.block);
  } else {
    const model::Linear& up = model.architecture().linear(site.block, model::Role::up);
    add_rows(model, up, channels);
    if (up.bias) values = model.vector(up.module + ".bias", up.rows);
  }
  for (std::size_t i = 0; i < values.size(); ++i) channels[i % site.size].add(values[i]);
  return channels;
}

std::vector<int> exponents_of(const model::Model& model, const SmoothSite& site, std::span<const float> inputs,
                              double alpha) {
  std::vector<Range> weights(site.size);
  for (const std::size_t l : site.linears) add_columns(model, model.architecture().linears[l], weights);
  std::vector<double> logarithms(site.size);
  std::vector<std::size_t> alive;
  double sum = 0.0;
  for (std::size_t c = 0; c < site.size; ++c) {
    if (!(inputs[c] > 0.0f && weights[c].largest > 0.0f)) continue;
    logarithms[c] = alpha * std::log2(static_cast<double>(inputs[c])) -
                    (1.0 - alpha) * std::log2(static_cast<double>(weights[c].largest));
    sum += logarithms[c];
    alive.push_back(c);
  }
  const std::vector<Range> divided = makers(model, site);
  std::vector<int> exponents(site.size, 0);
  for (const std::size_t c : alive) {
    const double nearest = std::round(logarithms[c] - sum / static_cast<double>(alive.size()));
    const int exponent = static_cast<int>(std::clamp<double>(nearest, -kMostExponent, kMostExponent));
    if (weights[c].holds(exponent) && divided[c].holds(-exponent)) exponents[c] = exponent;
  }
  return exponents;
}

}  // namespace

model::ChannelExponents smooth_channels(engine::Engine& engine, const CalibrationSet& set, double alpha) {
  const model::Model& model = engine.model();
  const std::vector<SmoothSite> sites = model::smooth_sites(model);
  if (sites.empty()) return {};
  const Ranks ranks = ranks_of_pass(ranks_at_work(), set);
  LargestInputs inputs(sites);
  const PassObserver observer = [&](const SiteRows& rows) { inputs.observe(rows); };
  PassState pass;
  run_calibration(
      engine, set, {&observer, 1}, [&](std::size_t block) { inputs.share(block, ranks); }, {}, pass, ranks);
  model::ChannelExponents exponents;
  for (std::size_t i = 0; i < sites.size(); ++i)
    exponents.push_back(exponents_of(model, sites[i], inputs.of(i), alpha));
  return exponents;
}

model::Model smoothed(const model::Model& model, const CalibrationSet& set, double alpha) {
  engine::Engine engine(model, kernel::Precision::bf16);
  return model.smoothed(smooth_channels(engine, set, alpha));
}

void scale_mean_squares(const model::Model& model, const model::ChannelExponents& exponents,
                        std::span<std::vector<float>> mean_squares) {
  const std::vector<SmoothSite> sites = model::smooth_sites(model);
  for (std::size_t i = 0; i < exponents.size(); ++i)
    for (const std::size_t l : sites[i].linears)
      for (std::size_t c = 0; c < exponents[i].size(); ++c)
        mean_squares[l][c] = std::ldexp(mean_squares[l][c], -2 * exponents[i][c]);
}

}  // namespace strata::importance
