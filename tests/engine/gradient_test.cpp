// A block's hand-written gradient, for every kind of block of the tiny model of every family and variant: its forward
// pass equals the engine's, and its gradients equal finite differences.
#include "engine/gradient.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "codec/codec.h"
#include "core/random.h"
#include "support/made_model.h"

namespace strata::engine {
namespace gradient_test {

namespace fs = std::filesystem;

// Models of made-up families, which have together every part that llama does not have.
constexpr const char *kMadeUp = "made_up", *kSideBySide = "made_up_side_by_side";

struct Tested {
  std::string model;
  std::size_t block;
};

/// The last block of every kind that has gradients.
std::vector<std::size_t> kinds_of_blocks(const model::Architecture& a) {
  using Kind = std::tuple<model::Mixer, bool, std::size_t, bool, bool, bool>;
  std::map<Kind, std::size_t> last;
  for (std::size_t b = 0; b < a.blocks; ++b) {
    const model::BlockAttention& of = a.attention[b];
    const Kind kind{of.mixer,  a.layout[b].mixture,           a.head_size(of),
                    of.k_is_v, of.keys_of != model::kOwnKeys, of.shared_at != model::kNotShared};
    if (why_no_gradient(a, b).empty()) last[kind] = b;
  }
  std::vector<std::size_t> blocks;
  for (const auto& [kind, block] : last) blocks.push_back(block);
  return blocks;
}

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

class TinyBlock : public ::testing::TestWithParam<Tested> {
 protected:
  TinyBlock()
      : made_(fixtures::full_family(), fixtures::full_config()),
        side_by_side_(fixtures::side_by_side_family(), fixtures::side_by_side_config()),
        model_(GetParam().model == kMadeUp       ? made_.open()
               : GetParam().model == kSideBySide ? side_by_side_.open()
                                                 : model::Model::open(fixtures::golden_model(GetParam().model))),
        engine_(model_),
        block_(GetParam().block),
        batch_(engine_.make_batch(std::vector<Sequence>{{mixture() ? 4u : 7u}, {mixture() ? 6u : 12u}})),
        random_(3) {
    for (const model::Linear& linear : model_.architecture().linears) {
      if (linear.block != block_) continue;
      const model::LinearWeights held = model_.weights(linear);
      weights_.emplace_back(linear.rows * linear.cols);
      for (std::size_t r = 0; r < linear.rows; ++r)
        codec::widen_row(held.view().dense, r, std::span(weights_.back()).subspan(r * linear.cols, linear.cols));
    }
    for (std::size_t i = 0, l = model_.architecture().layout[block_].first; i < weights_.size(); ++i, ++l)
      linears_.push_back({MatrixView::dense(weights_[i].data(), model_.architecture().linears[l].rows,
                                            model_.architecture().linears[l].cols, DType::f32),
                          nullptr});
    const model::Architecture& a = model_.architecture();
    dout_ = random_values(batch_.tokens * a.hidden);
    for (std::size_t t = 0; t < batch_.tokens; ++t) batch_.ids.push_back(static_cast<Token>(random_.below(a.vocab)));
    shared_ = random_values(batch_.tokens * a.shared_size);
    shared_gradient_ = random_values(shared_.size());
    batch_.shared = shared_.data();
    if (leaves_keys()) batch_.shared_gradient = shared_gradient_.data();
  }

  /// Draws the input; in a mixture one for which no token is about to go to another expert.
  void SetUp() override {
    BlockGradient block(engine_, block_, kernel::Precision::f32);
    for (int drawn = 0; drawn < 500; ++drawn) {
      h_ = random_values(dout_.size());
      if (!mixture()) return;
      const std::vector<float> kept = h_;
      loss(block);
      const Routes routed = routes(block);
      bool stays = true;
      for (int moved = 0; moved < 6 && stays; ++moved) {
        const std::vector<float> along = random_values(h_.size());
        for (std::size_t i = 0; i < h_.size(); ++i) h_[i] = kept[i] + 0.02f * along[i];
        loss(block);
        stays = routes(block) == routed;
      }
      h_ = kept;
      if (stays) return;
    }
    FAIL() << "every input has a token between experts";
  }

  std::vector<float> random_values(std::size_t count) {
    std::vector<float> values(count);
    for (float& v : values) v = static_cast<float>(random_.normal());
    return values;
  }

  /// Of what the block puts out, and of the keys and values that it leaves to later ones.
  double loss(BlockGradient& gradient) {
    const float* const out = gradient.forward(batch_, h_.data(), linears_);
    double sum = 0;
    for (std::size_t i = 0; i < h_.size(); ++i) sum += static_cast<double>(out[i]) * static_cast<double>(dout_[i]);
    if (!leaves_keys()) return sum;
    const std::size_t width = architecture().shared_size, at = architecture().attention[block_].shared_at;
    for (std::size_t i = 0; i < shared_.size(); ++i)
      if (i % width >= at && i % width < at + 2 * architecture().kv_size(block_))
        sum += static_cast<double>(shared_[i]) * static_cast<double>(shared_gradient_[i]);
    return sum;
  }

  const model::Architecture& architecture() const { return model_.architecture(); }
  bool mixture() const { return architecture().layout[block_].mixture; }
  bool leaves_keys() const { return architecture().attention[block_].shared_at != model::kNotShared; }
  /// Whether values are clipped, or experts count only near a choice, so that a value that crosses a limit bends the
  /// loss or makes it jump.
  bool clips() const {
    const model::Activation activation = architecture().activation;
    return architecture().clip_qkv != 0 || activation == model::Activation::clamped_swiglu ||
           activation == model::Activation::relu ||
           (mixture() && architecture().experts.score == model::Experts::Score::sparse);
  }

  using Routes = std::map<std::size_t, std::vector<std::uint32_t>>;
  /// The tokens of every expert in the last forward pass, by the expert's linears.
  Routes routes(BlockGradient& block) {
    Routes tokens;
    std::vector<std::vector<float>> none(weights_.size());
    block.watch(
        [&](std::size_t i, const LinearRows& rows) { tokens[i].assign(rows.tokens.begin(), rows.tokens.end()); });
    block.backward(batch_, dout_.data(), linears_, std::vector<bool>(weights_.size(), false), none, nullptr);
    block.watch({});
    return tokens;
  }

  /// Derivatives of the loss in random directions of `values` against the gradient's. `use`: what makes the block use
  /// the values.
  void expect_gradient(
      BlockGradient& block, std::vector<float>& values, const std::vector<float>& gradient, const std::string& name,
      const std::function<void()>& use = [] {}) {
    ASSERT_EQ(gradient.size(), values.size()) << name;
    const double norm = std::sqrt(dot(gradient, gradient));
    ASSERT_GT(norm, 1e-6) << name;
    const std::vector<float> kept = values;
    loss(block);
    const Routes routed = routes(block);
    bool jumps = false;  // a token goes to another expert on the way
    std::vector<float> along;
    const auto moved = [&](double by) {
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = kept[i] + static_cast<float>(by) * along[i];
      use();
      const double result = loss(block);
      jumps = jumps || (mixture() && routes(block) != routed);
      return result;
    };
    // Scores that are products of q and k as they are bend softmax more.
    const bool plain = !mixture() && architecture().gated && architecture().scales.attention < 1 &&
                       architecture().attention[block_].mixer == model::Mixer::attention;
    const double relative = clips() ? 0.001 : plain ? 0.01 : 0.003;
    const double step = relative * std::sqrt(dot(kept, kept) / static_cast<double>(kept.size()));
    int directions = 0;
    for (int drawn = 0; drawn < 30 && directions < 3; ++drawn) {
      along = random_values(values.size());
      jumps = false;
      const double near = (moved(step) - moved(-step)) / (2 * step),
                   far = (moved(2 * step) - moved(-2 * step)) / (4 * step);
      // No derivative tells a jump or a bend.
      if (jumps || (clips() && std::abs(near - far) > 1e-2 * norm)) continue;
      EXPECT_NEAR((4 * near - far) / 3, dot(gradient, along), 1e-2 * norm) << name;
      ++directions;
    }
    EXPECT_EQ(directions, 3) << name;
    values = kept;
    use();
  }

  fixtures::MadeModel made_, side_by_side_;
  model::Model model_;
  Engine engine_;
  std::size_t block_;
  Batch batch_;
  Random random_;
  std::vector<std::vector<float>> weights_;
  BlockGradient::Linears linears_;
  std::vector<float> h_, dout_;
  /// Batch::shared; and the loss's gradient by what the block leaves there, of which other columns are not read.
  std::vector<float> shared_, shared_gradient_;
};

TEST_P(TinyBlock, ForwardEqualsTheEngine) {
  BlockGradient gradient(engine_, block_, kernel::Precision::f32);
  const float* const out = gradient.forward(batch_, h_.data(), linears_);
  std::vector<float> expected = h_;
  engine_.run_block(block_, batch_, expected.data());
  // The few rows of an expert are multiplied as many are here, which adds in another order.
  for (std::size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(out[i], expected[i], 3e-5f * std::max(1.0f, std::fabs(expected[i]))) << i;
}

TEST_P(TinyBlock, GradientsEqualFiniteDifferences) {
  BlockGradient gradient(engine_, block_, kernel::Precision::f32);
  std::vector<std::vector<float>> gradients(weights_.size());
  std::vector<float> dh(h_.size());
  loss(gradient);
  gradient.backward(batch_, dout_.data(), linears_, std::vector<bool>(weights_.size(), true), gradients, dh.data());
  const std::size_t first = model_.architecture().layout[block_].first;
  std::size_t idle = 0;  // experts' linears to which no token is routed
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    const model::Linear& linear = model_.architecture().linears[first + i];
    if (linear.routed() && gradients[i].empty())
      ++idle;
    else
      expect_gradient(gradient, weights_[i], gradients[i], linear.module);
  }
  EXPECT_LT(2 * idle, weights_.size());
  expect_gradient(gradient, h_, dh, "input");
}

TEST_P(TinyBlock, KeysOfAnEarlierBlockGetTheirGradient) {
  if (architecture().attention[block_].keys_of == model::kOwnKeys) GTEST_SKIP() << "the block has keys of its own";
  BlockGradient gradient(engine_, block_, kernel::Precision::f32);
  std::vector<std::vector<float>> none(weights_.size());
  const std::vector<float> before = shared_gradient_;
  batch_.shared_gradient = shared_gradient_.data();
  loss(gradient);
  gradient.backward(batch_, dout_.data(), linears_, std::vector<bool>(weights_.size(), false), none, nullptr);
  batch_.shared_gradient = nullptr;
  std::vector<float> added = shared_gradient_;
  for (std::size_t i = 0; i < added.size(); ++i) added[i] -= before[i];
  expect_gradient(gradient, shared_, added, "keys and values");
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
    expect_gradient(gradient, weights, slopes.at(norm), model::norm_name(model_.architecture(), norm, block_),
                    [&] { gradient.set_norms(norms); });
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

TEST_P(TinyBlock, LinearsThatAreNotGivenAreTheModels) {
  BlockGradient gradient(engine_, block_, kernel::Precision::f32);
  const std::vector<bool> wanted(weights_.size(), true);
  std::vector<std::vector<float>> expected(weights_.size()), gradients(weights_.size());
  const double given = loss(gradient);
  gradient.backward(batch_, dout_.data(), linears_, wanted, expected, nullptr);
  linears_.assign(weights_.size(), {});
  EXPECT_NEAR(loss(gradient), given, 1e-4);
  gradient.backward(batch_, dout_.data(), linears_, wanted, gradients, nullptr);
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    ASSERT_EQ(gradients[i].size(), expected[i].size());
    for (std::size_t j = 0; j < expected[i].size(); ++j) ASSERT_NEAR(gradients[i][j], expected[i][j], 1e-3) << i;
  }
}

TEST_P(TinyBlock, ExpertsAreShownTheTokensThatAreRoutedToThem) {
  if (!mixture()) GTEST_SKIP() << "a dense block";
  const model::Architecture& a = model_.architecture();
  BlockGradient gradient(engine_, block_, kernel::Precision::f32);
  std::vector<std::vector<float>> none(weights_.size());
  std::size_t shown = 0;
  gradient.watch([&](std::size_t i, const LinearRows& rows) {
    const model::Linear& linear = a.linears[a.layout[block_].first + i];
    const std::size_t n = linear.routed() ? rows.tokens.size() : batch_.tokens;
    EXPECT_EQ(rows.x.size(), n * linear.cols);
    EXPECT_EQ(rows.dy.size(), n * linear.rows);
    if (!linear.routed() || linear.role != model::Role::down) return;
    EXPECT_TRUE(std::ranges::is_sorted(rows.tokens));
    shown += n;
  });
  loss(gradient);
  gradient.backward(batch_, dout_.data(), linears_, std::vector<bool>(weights_.size(), false), none, nullptr);
  EXPECT_EQ(shown, batch_.tokens * a.experts.used);
}

std::vector<Tested> tiny_blocks() {
  std::vector<Tested> tested;
  for (const auto& entry : fs::directory_iterator(fs::path(STRATA_TEST_DATA) / "golden/models"))
    for (const std::size_t block : kinds_of_blocks(model::Model::open(entry.path()).architecture()))
      tested.push_back({entry.path().filename().string(), block});
  std::ranges::sort(tested, {}, [](const Tested& t) { return std::pair(t.model, t.block); });
  for (const char* name : {kMadeUp, kSideBySide}) tested.push_back({name, 1});
  return tested;
}

INSTANTIATE_TEST_SUITE_P(Families, TinyBlock, ::testing::ValuesIn(tiny_blocks()), [](const auto& tested) {
  return fmt::format("{}_block{}", tested.param.model, tested.param.block);
});

}  // namespace gradient_test
}  // namespace strata::engine
