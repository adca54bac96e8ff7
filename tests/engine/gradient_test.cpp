// A block's hand-written gradient, for the tiny model of every family and variant: its forward pass equals the
// engine's, and its gradients equal finite differences.
#include "engine/gradient.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <vector>

#include "codec/codec.h"
#include "core/random.h"
#include "support/made_model.h"

namespace strata::engine {
namespace {

namespace fs = std::filesystem;

// Models of made-up families, which have together every part that llama does not have.
constexpr const char *kMadeUp = "made_up", *kSideBySide = "made_up_side_by_side";

/// The last block that has gradients.
std::size_t last_block(const model::Architecture& a) {
  std::size_t block = a.blocks - 1;
  while (block > 0 && !why_no_gradient(a, block).empty()) --block;
  return block;
}

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

class TinyBlock : public ::testing::TestWithParam<std::string> {
 protected:
  TinyBlock()
      : made_(testing::full_family(), testing::full_config()),
        side_by_side_(testing::side_by_side_family(), testing::side_by_side_config()),
        model_(GetParam() == kMadeUp       ? made_.open()
               : GetParam() == kSideBySide ? side_by_side_.open()
                                           : model::Model::open(testing::golden_model(GetParam()))),
        engine_(model_),
        block_(last_block(model_.architecture())),
        batch_(engine_.make_batch(std::vector<Sequence>{{7}, {12}})),
        random_(3) {
    for (const model::Linear& linear : model_.architecture().linears) {
      if (linear.block != block_) continue;
      const model::LinearWeights held = model_.weights(linear);
      weights_.emplace_back(linear.rows * linear.cols);
      for (std::size_t r = 0; r < linear.rows; ++r)
        codec::widen_row(held.view().dense, r, std::span(weights_.back()).subspan(r * linear.cols, linear.cols));
    }
    for (std::size_t i = 0, l = model_.architecture().layout[block_].first; i < weights_.size(); ++i, ++l)
      linears_.push_back(MatrixView::dense(weights_[i].data(), model_.architecture().linears[l].rows,
                                           model_.architecture().linears[l].cols, DType::f32));
    h_ = random_values(batch_.tokens * model_.architecture().hidden);
    dout_ = random_values(h_.size());
  }

  std::vector<float> random_values(std::size_t count) {
    std::vector<float> values(count);
    for (float& v : values) v = static_cast<float>(random_.normal());
    return values;
  }

  double loss(BlockGradient& gradient) {
    const float* const out = gradient.forward(batch_, h_.data(), linears_);
    double sum = 0;
    for (std::size_t i = 0; i < h_.size(); ++i) sum += static_cast<double>(out[i]) * static_cast<double>(dout_[i]);
    return sum;
  }

  /// Derivatives of the loss in random directions of `values` against the gradient's.
  void expect_gradient(BlockGradient& block, std::vector<float>& values, const std::vector<float>& gradient,
                       const std::string& name) {
    expect_gradient(values, gradient, name, [&] { return loss(block); });
  }
  void expect_gradient(std::vector<float>& values, const std::vector<float>& gradient, const std::string& name,
                       const std::function<double()>& loss_now) {
    ASSERT_EQ(gradient.size(), values.size()) << name;
    const double norm = std::sqrt(dot(gradient, gradient));
    ASSERT_GT(norm, 1e-6) << name;
    // Where values are clipped, a value that crosses its limit within a step counts by half.
    const double relative = GetParam() == kSideBySide ? 0.001 : 0.01;
    const double step = relative * std::sqrt(dot(values, values) / static_cast<double>(values.size()));
    const std::vector<float> kept = values;
    for (int direction = 0; direction < 3; ++direction) {
      const std::vector<float> along = random_values(values.size());
      const auto moved = [&](double by) {
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = kept[i] + static_cast<float>(by) * along[i];
        return loss_now();
      };
      const double slope = (8 * (moved(step) - moved(-step)) - (moved(2 * step) - moved(-2 * step))) / (12 * step);
      EXPECT_NEAR(slope, dot(gradient, along), 1e-2 * norm) << name;
    }
    values = kept;
  }

  testing::MadeModel made_, side_by_side_;
  model::Model model_;
  Engine engine_;
  std::size_t block_;
  Batch batch_;
  Random random_;
  std::vector<std::vector<float>> weights_;
  BlockGradient::Linears linears_;
  std::vector<float> h_, dout_;
};

TEST_P(TinyBlock, ForwardEqualsTheEngine) {
  BlockGradient gradient(engine_, block_, kernel::Precision::f32);
  const float* const out = gradient.forward(batch_, h_.data(), linears_);
  std::vector<float> expected = h_;
  engine_.run_block(block_, batch_, expected.data());
  for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(out[i], expected[i], 1e-5) << i;
}

TEST_P(TinyBlock, GradientsEqualFiniteDifferences) {
  BlockGradient gradient(engine_, block_, kernel::Precision::f32);
  std::vector<std::vector<float>> gradients(weights_.size());
  std::vector<float> dh(h_.size());
  loss(gradient);
  gradient.backward(batch_, dout_.data(), linears_, std::vector<bool>(weights_.size(), true), gradients, dh.data());
  const std::size_t first = model_.architecture().layout[block_].first;
  for (std::size_t i = 0; i < weights_.size(); ++i)
    expect_gradient(gradient, weights_[i], gradients[i], model_.architecture().linears[first + i].module);
  expect_gradient(gradient, h_, dh, "input");
}

TEST_P(TinyBlock, NormsAreLearned) {
  BlockGradient gradient(engine_, block_, kernel::Precision::f32);
  std::vector<std::vector<float>> none(weights_.size());
  std::vector<float> dh(h_.size());
  BlockGradient::Norms slopes, norms = gradient.norms();
  loss(gradient);
  gradient.backward(batch_, dout_.data(), linears_, std::vector<bool>(weights_.size(), false), none, dh.data(),
                    &slopes);
  ASSERT_EQ(slopes.size(), norms.size());
  ASSERT_GE(norms.size(), 1u);
  for (auto& [norm, weights] : norms)
    expect_gradient(weights, slopes.at(norm), model::norm_name(model_.architecture(), norm, block_), [&] {
      gradient.set_norms(norms);
      return loss(gradient);
    });
}

TEST_P(TinyBlock, OnlyWantedGradientsAreMade) {
  BlockGradient gradient(engine_, block_, kernel::Precision::f32);
  std::vector<std::vector<float>> all(weights_.size()), one(weights_.size());
  std::vector<bool> wanted(weights_.size(), false);
  wanted[1] = true;
  loss(gradient);
  gradient.backward(batch_, dout_.data(), linears_, wanted, one, nullptr);
  loss(gradient);
  gradient.backward(batch_, dout_.data(), linears_, std::vector<bool>(weights_.size(), true), all, nullptr);
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_TRUE(i == 1 ? one[i] == all[i] : one[i].empty()) << i;
}

std::vector<std::string> tiny_models() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(fs::path(STRATA_TEST_DATA) / "golden/models"))
    if (const model::Model model = model::Model::open(entry.path());
        why_no_gradient(model.architecture(), last_block(model.architecture())).empty())
      names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  names.insert(names.end(), {kMadeUp, kSideBySide});
  return names;
}

INSTANTIATE_TEST_SUITE_P(Families, TinyBlock, ::testing::ValuesIn(tiny_models()),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace strata::engine
