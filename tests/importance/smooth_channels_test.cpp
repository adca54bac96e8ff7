// The powers of two that channels are scaled by: the paper's formula, what has no scale, and that neither threads nor
// batches change them.
#include "importance/smooth_channels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "importance/linear_inputs.h"
#include "support/open_golden.h"
#include "support/tiny_model.h"

namespace strata::importance {
namespace smooth_channels_test {

using ::strata::fixtures::Threads;
using ::strata::fixtures::TinyModel;
using ::strata::pipeline::tokens_for;

model::ChannelExponents exponents_of(const model::Model& model, double alpha = 0.5, std::size_t sequences = 5) {
  engine::Engine engine(model, kernel::Precision::f32);
  return smooth_channels(engine, tokens_for(model, sequences), alpha);
}

/// max|x_j| at a site of a block.
std::vector<float> largest_inputs(const model::Model& model, std::size_t block, model::Site site) {
  engine::Engine engine(model, kernel::Precision::f32);
  std::vector<float> most;
  const PassObserver observer = [&](const SiteRows& rows) {
    if (rows.block != block || rows.site != site) return;
    most.resize(rows.size);
    for (std::size_t i = 0; i < rows.sequences * rows.tokens * rows.size; ++i)
      most[i % rows.size] = std::max(most[i % rows.size], std::fabs(rows.rows[i]));
  };
  run_calibration(engine, tokens_for(model), {&observer, 1});
  return most;
}

TEST(SmoothChannels, FollowsThePaper) {
  const TinyModel tiny("llama_tied");
  const model::Model model = model::Model::open(tiny.path());
  const auto sites = model::smooth_sites(model);
  for (const double alpha : {0.25, 0.5, 1.0}) {
    const model::ChannelExponents exponents = exponents_of(model, alpha);
    ASSERT_EQ(exponents.size(), sites.size());
    for (std::size_t i = 0; i < sites.size(); ++i) {
      const std::vector<float> x = largest_inputs(model, sites[i].block, sites[i].site);
      std::vector<double> wanted(sites[i].size);
      for (std::size_t c = 0; c < sites[i].size; ++c) {
        float w = 0.0f, most = 0.0f;
        for (const std::size_t l : sites[i].linears) {
          const model::LinearWeights weights = model.weights(model.architecture().linears[l]);
          for (std::size_t r = 0; r < weights.view().dense.rows; ++r) {
            read_row(weights.view().dense, r, c, 1, &w);
            most = std::max(most, std::fabs(w));
          }
        }
        wanted[c] = std::log2(std::pow(x[c], alpha) / std::pow(most, 1.0 - alpha));
      }
      double mean = 0.0;
      for (const double value : wanted) mean += value / static_cast<double>(wanted.size());
      for (std::size_t c = 0; c < wanted.size(); ++c)
        EXPECT_LE(std::fabs(exponents[i][c] - (wanted[c] - mean)), 0.5 + 1e-4) << i << " " << c;
    }
  }
}

TEST(SmoothChannels, DependOnNoThreadsAndBatches) {
  const TinyModel tiny("llama_tied");
  const model::Model model = model::Model::open(tiny.path());
  const model::ChannelExponents one = exponents_of(model, 0.5, 40);
  const Threads two(2);
  EXPECT_EQ(exponents_of(model, 0.5, 40), one);
}

TEST(SmoothChannels, LeavesWhatIsNotExactOrNotThere) {
  TinyModel tiny("llama_tied");
  const std::string norm = "model.layers.0.input_layernorm.weight";
  tiny.set_element(norm, 0, 0.0f);    // nothing comes of the channel
  tiny.set_element(norm, 1, 1e-38f);  // to be divided by, it would be subnormal
  tiny.set_element(norm, 2, 300.0f);
  const model::Model model = model::Model::open(tiny.path());
  const model::ChannelExponents exponents = exponents_of(model);
  EXPECT_EQ(exponents[0][0], 0);
  EXPECT_GE(exponents[0][2], 2);
  // Channel 1 wants to be multiplied, which is exact for its norm; its weights are divided, and are large enough.
  EXPECT_LT(exponents[0][1], -10);
  const model::Model smoothed = model.smoothed(exponents);
  const std::vector<float> before = model.norm(model::Norm::before_attention, 0),
                           after = smoothed.norm(model::Norm::before_attention, 0);
  for (std::size_t c = 0; c < before.size(); ++c) EXPECT_EQ(std::ldexp(after[c], exponents[0][c]), before[c]) << c;
}

TEST(SmoothChannels, ScalesMeanSquaresAsThoseOfTheSmoothedModel) {
  const TinyModel tiny("llama_tied");
  const model::Model model = model::Model::open(tiny.path());
  const model::ChannelExponents exponents = exponents_of(model);
  const model::Model smoothed = model.smoothed(exponents);
  const auto mean_squares = [&](const model::Model& of) {
    engine::Engine engine(of, kernel::Precision::f32);
    const InputMeanSquare inputs = input_mean_square(engine, tokens_for(of));
    std::vector<std::vector<float>> result;
    for (const model::Linear& linear : of.architecture().linears) result.push_back(inputs.of(linear));
    return result;
  };
  std::vector<std::vector<float>> scaled = mean_squares(model);
  scale_mean_squares(model, exponents, scaled);
  EXPECT_EQ(scaled, mean_squares(smoothed));
}

}  // namespace smooth_channels_test
}  // namespace strata::importance
