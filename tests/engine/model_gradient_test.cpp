// The backward pass of a whole model: its logits equal the engine's, and what it shows of linears and norms equals
// finite differences of the engine's logits.
#include "engine/model_gradient.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>

#include "codec/codec.h"
#include "core/random.h"
#include "engine/modes.h"
#include "support/made_model.h"

namespace strata::engine {
namespace {

namespace fs = std::filesystem;

// Models of made-up families, which have together every part that llama does not have.
constexpr const char *kMadeUp = "made_up", *kSideBySide = "made_up_side_by_side";

model::Model golden(const std::string& name) {
  return model::Model::open(fs::path(STRATA_TEST_DATA) / "golden/models" / name);
}

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

/// At 0, by four points.
double derivative(const std::function<double(float)>& at) {
  constexpr float step = 5e-4f;
  return (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * static_cast<double>(step));
}

/// The same of a direction that `draw` chooses: one along which no token goes to another expert, which would make a
/// jump that no derivative tells. `most` is the error that is allowed.
double smooth_derivative(const std::function<double(float)>& at, double most, const std::function<void()>& draw) {
  for (int drawn = 0; drawn < 20; ++drawn) {
    draw();
    constexpr float step = 5e-4f;
    const double near = (at(step) - at(-step)) / (2 * static_cast<double>(step));
    if (const double whole = derivative(at); std::abs(whole - near) < most) return whole;
  }
  ADD_FAILURE() << "every direction has a jump";
  return 0.0;
}

class WholeModel : public ::testing::TestWithParam<std::string> {
 protected:
  WholeModel()
      : made_(testing::full_family(), testing::full_config()),
        side_by_side_(testing::side_by_side_family(), testing::side_by_side_config()),
        model_(GetParam() == kMadeUp       ? made_.open()
               : GetParam() == kSideBySide ? side_by_side_.open()
                                           : golden(GetParam())),
        a_(model_.architecture()),
        engine_(model_),
        sequences_{{9}, {14}},
        batch_(engine_.make_batch(sequences_)),
        gradient_(engine_, kernel::Precision::f32),
        random_(5) {
    for (std::size_t t = 0; t < batch_.tokens; ++t) tokens_.push_back(static_cast<Token>(random_.below(a_.vocab)));
    dlogits_ = random_values(batch_.tokens * a_.vocab);
  }

  std::vector<float> random_values(std::size_t count) {
    std::vector<float> values(count);
    for (float& v : values) v = static_cast<float>(random_.normal());
    return values;
  }

  /// sum of dlogits * logits: a loss whose gradient by the logits is dlogits.
  double loss(const std::vector<float>& logits) const { return dot(logits, dlogits_); }
  double loss_of_engine() {
    std::vector<float> logits(dlogits_.size());
    engine_.logits(engine_.forward(tokens_, sequences_).data(), batch_.tokens, logits.data());
    return loss(logits);
  }
  double loss_of_gradient() {
    return loss(gradient_.forward(batch_, tokens_, [] {}));
  }

  void run(const GradientWatch& watch) {
    gradient_.forward(batch_, tokens_, [] {}) = dlogits_;
    gradient_.backward(batch_, watch, [] {});
  }

  testing::MadeModel made_, side_by_side_;
  model::Model model_;
  const model::Architecture& a_;
  Engine engine_;
  std::vector<Sequence> sequences_;
  Batch batch_;
  ModelGradient gradient_;
  Random random_;
  std::vector<Token> tokens_;
  std::vector<float> dlogits_;
};

TEST_P(WholeModel, LogitsEqualTheEngines) {
  EXPECT_NEAR(loss_of_gradient(), loss_of_engine(), 1e-4 * std::sqrt(static_cast<double>(dlogits_.size())));
}

TEST_P(WholeModel, LinearsAreShownTheirGradients) {
  std::map<std::size_t, std::vector<float>> gradients;  // dy^T x
  run({.linears = [&](std::size_t l, const LinearRows& shown) {
    const std::size_t rows = a_.linears[l].rows, cols = a_.linears[l].cols;
    std::vector<float>& g = gradients[l];
    g.assign(rows * cols, 0.0f);
    for (std::size_t t = 0; t < shown.x.size() / cols; ++t)
      for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t c = 0; c < cols; ++c) g[r * cols + c] += shown.dy[t * rows + r] * shown.x[t * cols + c];
  }});
  for (std::size_t l = 0; l < a_.layout.back().first + a_.layout.back().count; ++l)
    ASSERT_TRUE(gradients.contains(l) || a_.linears[l].routed()) << a_.linears[l].module;
  for (const auto& [l, gradient] : gradients) {
    const model::Linear& linear = a_.linears[l];
    const model::LinearWeights held = model_.weights(linear);
    std::vector<float> weights(linear.rows * linear.cols), along;
    for (std::size_t r = 0; r < linear.rows; ++r)
      codec::widen_row(held.view().dense, r, std::span(weights).subspan(r * linear.cols, linear.cols));
    const auto moved = [&](float by) {
      std::vector<float> there = weights;
      for (std::size_t i = 0; i < there.size(); ++i) there[i] += by * along[i];
      Replacing replacing(engine_);
      replacing.set(l, {MatrixView::dense(there.data(), linear.rows, linear.cols, DType::f32), nullptr});
      return loss_of_engine();
    };
    const double most = 0.05 * std::sqrt(dot(gradient, gradient)) + 1e-3;
    const double slope = smooth_derivative(moved, most, [&] { along = random_values(weights.size()); });
    EXPECT_NEAR(slope, dot(gradient, along), most) << linear.module;
  }
}

TEST_P(WholeModel, TheHeadIsShownItsGradient) {
  if (a_.tied) GTEST_SKIP() << "a tied head cannot be replaced alone";
  std::vector<float> gradient(a_.vocab * a_.hidden, 0.0f);
  run({.head = [&](const std::vector<float>& dy, const std::vector<float>& x) {
    for (std::size_t t = 0; t < batch_.tokens; ++t)
      for (std::size_t r = 0; r < a_.vocab; ++r)
        for (std::size_t c = 0; c < a_.hidden; ++c)
          gradient[r * a_.hidden + c] += dy[t * a_.vocab + r] * x[t * a_.hidden + c];
  }});
  const std::size_t head = a_.lm_head();
  const model::LinearWeights held = model_.weights(a_.linears[head]);
  std::vector<float> weights(gradient.size());
  const std::vector<float> along = random_values(gradient.size());
  for (std::size_t r = 0; r < a_.vocab; ++r)
    codec::widen_row(held.view().dense, r, std::span(weights).subspan(r * a_.hidden, a_.hidden));
  const auto moved = [&](float by) {
    std::vector<float> there = weights;
    for (std::size_t i = 0; i < there.size(); ++i) there[i] += by * along[i];
    Replacing replacing(engine_);
    replacing.set(head, {MatrixView::dense(there.data(), a_.vocab, a_.hidden, DType::f32), nullptr});
    return loss_of_engine();
  };
  EXPECT_NEAR(derivative(moved), dot(gradient, along), 0.05 * std::sqrt(dot(gradient, gradient)) + 1e-3);
}

TEST_P(WholeModel, NormsAreShownTheirSlopes) {
  std::map<std::size_t, BlockGradient::Norms> slopes;
  std::vector<float> last;
  run({.final_norm = [&](const std::vector<float>& slope) { last = slope; },
       .norms = [&](std::size_t b, const BlockGradient::Norms& norms) { slopes[b] = norms; }});
  ASSERT_EQ(slopes.size(), a_.blocks);
  const auto expect = [&](std::vector<float>& weights, const std::vector<float>& gradient, const std::string& name) {
    const std::vector<float> kept = weights;
    std::vector<float> along;
    const auto moved = [&](float by) {
      for (std::size_t i = 0; i < kept.size(); ++i) weights[i] = kept[i] + by * along[i];
      return loss_of_gradient();
    };
    const double most = 0.02 * std::sqrt(dot(gradient, gradient)) + 1e-3;
    const double slope = smooth_derivative(moved, most, [&] { along = random_values(kept.size()); });
    EXPECT_NEAR(slope, dot(gradient, along), most) << name;
    weights = kept;
  };
  expect(gradient_.final_norm(), last, "last");
  for (std::size_t b = 0; b < a_.blocks; ++b) {
    const auto norms = std::ranges::count_if(model::kStreamNorms, [&](model::Norm norm) { return a_.has(norm); });
    ASSERT_EQ(slopes[b].size(), static_cast<std::size_t>(norms));
    for (auto& [norm, weights] : gradient_.norms()[b])
      expect(weights, slopes[b].at(norm), model::norm_name(a_, norm, b));
  }
}

INSTANTIATE_TEST_SUITE_P(Families, WholeModel,
                         ::testing::Values("llama_untied_sharded", "qwen2", "qwen3", "gemma2", "cohere2", "phi3",
                                           "glm4", "olmo2", "ministral3", "qwen2_moe", "gpt_oss", "llama4_text",
                                           "glm4_moe_groups", "deepseek_v2_q_lora", "qwen3_next", "lfm2_moe", kMadeUp,
                                           kSideBySide));

}  // namespace
}  // namespace strata::engine
