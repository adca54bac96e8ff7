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
namespace model_gradient_test {

namespace fs = std::filesystem;

// Models of made-up families, which have together every part that llama does not have.
constexpr const char *kMadeUp = "made_up", *kSideBySide = "made_up_side_by_side";

model::Model golden(const std::string& name, model::Fusion fusion = model::Fusion::fused) {
  return model::Model::open(fs::path(STRATA_TEST_DATA) / "golden/models" / name, fusion);
}

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

/// At 0, by four points.
double derivative(const std::function<double(float)>& at, float step = 5e-4f) {
  return (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * static_cast<double>(step));
}

class WholeModel : public ::testing::TestWithParam<std::string> {
 protected:
  WholeModel()
      : made_(fixtures::full_family(), fixtures::full_config()),
        side_by_side_(fixtures::side_by_side_family(), fixtures::side_by_side_config()),
        model_(GetParam() == kMadeUp       ? made_.open()
               : GetParam() == kSideBySide ? side_by_side_.open()
                                           : golden(GetParam())),
        a_(model_.architecture()),
        engine_(model_),
        sequences_(mixture() ? std::vector<Sequence>{{3}, {5}} : std::vector<Sequence>{{9}, {14}}),
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

  bool mixture() const { return std::ranges::any_of(a_.layout, &model::BlockLinears::mixture); }

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

  using Routes = std::map<std::size_t, std::vector<std::uint32_t>>;  // the tokens of experts' linears
  Routes routes_of_engine() {
    Routes routes;
    const ExpertWatch watch{.show =
                                [&](const ExpertRows& rows) {
                                  if (rows.site == Site::mlp_in)
                                    routes[a_.index(rows.block, model::Role::up, rows.expert)].assign(
                                        rows.tokens.begin(), rows.tokens.end());
                                },
                            .feed_all = {}};
    const Watching watching(engine_, &watch);
    engine_.forward(tokens_, sequences_);
    return routes;
  }
  Routes routes_of_gradient() {
    Routes routes;
    run({.linears = [&](std::size_t l, const LinearRows& rows) {
      routes[l].assign(rows.tokens.begin(), rows.tokens.end());
    }});
    return routes;
  }

  /// The derivative along a direction against the gradient's; `moved` is the loss at a place on the way. Directions in
  /// which a token goes to another expert on the way are drawn again: no derivative tells such a jump.
  void expect_derivative(const std::vector<float>& gradient, double relative, const std::string& name,
                         const std::function<Routes()>& routes,
                         const std::function<double(const std::vector<float>& along, float by)>& moved) {
    const Routes kept = mixture() ? routes() : Routes{};
    // Narrow heads of a delta net, which are divided by their length, bend the loss within a longer step.
    float step = a_.delta.kernel != 0 ? 5e-5f : 5e-4f;
    for (int drawn = 0; drawn < 20; ++drawn) {
      if (drawn > 0 && drawn % 5 == 0) step /= 3;
      const std::vector<float> along = random_values(gradient.size());
      bool jumps = false;
      const auto at = [&](float by) {
        const double result = moved(along, by);
        jumps = jumps || (mixture() && routes() != kept);
        return result;
      };
      const double slope = derivative(at, step);
      if (jumps) continue;
      EXPECT_NEAR(slope, dot(gradient, along), relative * std::sqrt(dot(gradient, gradient)) + 1e-3) << name;
      return;
    }
    ADD_FAILURE() << name << ": every direction has a jump";
  }

  void run(const GradientWatch& watch) {
    gradient_.forward(batch_, tokens_, [] {}) = dlogits_;
    gradient_.backward(batch_, watch, [] {});
  }

  fixtures::MadeModel made_, side_by_side_;
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
    std::vector<float> weights(linear.rows * linear.cols);
    for (std::size_t r = 0; r < linear.rows; ++r)
      codec::widen_row(held.view().dense, r, std::span(weights).subspan(r * linear.cols, linear.cols));
    Replacing replacing(engine_);
    std::vector<float> there = weights;
    replacing.set(l, {MatrixView::dense(there.data(), linear.rows, linear.cols, DType::f32), nullptr});
    expect_derivative(
        gradient, 0.05, linear.module, [&] { return routes_of_engine(); },
        [&](const std::vector<float>& along, float by) {
          for (std::size_t i = 0; i < there.size(); ++i) there[i] = weights[i] + by * along[i];
          return loss_of_engine();
        });
  }
}

TEST_P(WholeModel, ASequenceHasTheSameGradientsBesideOthers) {
  const std::vector<Sequence> sequences = {{18}, {21}};
  std::vector<Token> tokens;
  for (std::size_t t = 0; t < 39; ++t) tokens.push_back(static_cast<Token>(random_.below(a_.vocab)));
  const std::vector<float> dlogits = random_values(tokens.size() * a_.vocab);
  using Rows = std::map<std::pair<std::size_t, std::size_t>, std::vector<float>>;  // dy, then x, by linear and token
  const auto shown = [&](std::size_t first, std::span<const Sequence> of) {
    const Batch batch = engine_.make_batch({of.begin(), of.end()});
    gradient_.forward(batch, std::span(tokens).subspan(first, batch.tokens), [] {}) = {
        dlogits.begin() + static_cast<std::ptrdiff_t>(first * a_.vocab),
        dlogits.begin() + static_cast<std::ptrdiff_t>((first + batch.tokens) * a_.vocab)};
    Rows result;
    const auto watch = [&](std::size_t l, const LinearRows& rows) {
      const std::size_t count = rows.tokens.empty() ? batch.tokens : rows.tokens.size();
      for (std::size_t i = 0; i < count; ++i)
        for (const std::span<const float> values : {rows.dy, rows.x}) {
          const std::size_t size = values.size() / count;
          std::vector<float>& row = result[{l, first + (rows.tokens.empty() ? i : rows.tokens[i])}];
          row.insert(row.end(), values.data() + i * size, values.data() + (i + 1) * size);
        }
    };
    gradient_.backward(batch, {.linears = watch}, [] {});
    return result;
  };
  Rows alone = shown(0, std::span(sequences).first(1));
  alone.merge(shown(18, std::span(sequences).last(1)));
  EXPECT_EQ(shown(0, sequences), alone);
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

TEST_P(WholeModel, TheEmbeddingIsShownItsGradient) {
  if (mixture()) GTEST_SKIP() << "a token may go to another expert";
  if (GetParam() == kMadeUp || GetParam() == kSideBySide) GTEST_SKIP() << "its embedding cannot be replaced";
  const model::Model model = golden(GetParam(), model::Fusion::single);  // where the embedding is a linear
  const model::Architecture& a = model.architecture();
  Engine engine(model);
  ModelGradient gradient(engine, kernel::Precision::f32);
  std::vector<float> of_table(a.vocab * a.hidden, 0.0f);
  gradient.forward(batch_, tokens_, [] {}) = dlogits_;
  gradient.backward(batch_,
                    {.head =
                         [&](const std::vector<float>& dy, const std::vector<float>& x) {
                           for (std::size_t t = 0; t < batch_.tokens && a.tied; ++t)
                             for (std::size_t r = 0; r < a.vocab; ++r)
                               for (std::size_t c = 0; c < a.hidden; ++c)
                                 of_table[r * a.hidden + c] += dy[t * a.vocab + r] * x[t * a.hidden + c];
                         },
                     .embedding =
                         [&](const std::vector<float>& dh) {
                           for (std::size_t i = 0; i < dh.size(); ++i)
                             of_table[tokens_[i / a.hidden] * a.hidden + i % a.hidden] += dh[i];
                         }},
                    [] {});
  const model::LinearWeights held = model.embedding();
  std::vector<float> table(of_table.size());
  for (std::size_t r = 0; r < a.vocab; ++r)
    codec::widen_row(held.view().dense, r, std::span(table).subspan(r * a.hidden, a.hidden));
  std::vector<float> there = table, logits(dlogits_.size());
  Replacing replacing(engine);
  replacing.set(a.embedding(), {MatrixView::dense(there.data(), a.vocab, a.hidden, DType::f32), nullptr});
  const std::vector<float> along = random_values(table.size());
  const auto moved = [&](float by) {
    for (std::size_t i = 0; i < table.size(); ++i) there[i] = table[i] + by * along[i];
    engine.logits(engine.forward(tokens_, sequences_).data(), batch_.tokens, logits.data());
    return loss(logits);
  };
  EXPECT_NEAR(derivative(moved), dot(of_table, along), 0.05 * std::sqrt(dot(of_table, of_table)) + 1e-3);
}

TEST_P(WholeModel, NormsAreShownTheirSlopes) {
  std::map<std::size_t, BlockGradient::Norms> slopes;
  std::vector<float> last;
  run({.final_norm = [&](const std::vector<float>& slope) { last = slope; },
       .norms = [&](std::size_t b, const BlockGradient::Norms& norms) { slopes[b] = norms; }});
  ASSERT_EQ(slopes.size(), a_.blocks);
  const auto expect = [&](std::vector<float>& weights, const std::vector<float>& gradient, const std::string& name) {
    const std::vector<float> kept = weights;
    expect_derivative(
        gradient, 0.02, name, [&] { return routes_of_gradient(); },
        [&](const std::vector<float>& along, float by) {
          for (std::size_t i = 0; i < kept.size(); ++i) weights[i] = kept[i] + by * along[i];
          return loss_of_gradient();
        });
    weights = kept;
  };
  expect(gradient_.final_norm(), last, "last");
  for (std::size_t b = 0; b < a_.blocks; ++b) {
    const auto norms = std::ranges::count_if(model::kStreamNorms, [&](model::Norm norm) { return a_.has(norm, b); });
    ASSERT_EQ(slopes[b].size(), static_cast<std::size_t>(norms));
    for (auto& [norm, weights] : gradient_.norms()[b])
      expect(weights, slopes[b].at(norm), model::norm_name(a_, norm, b));
  }
}

INSTANTIATE_TEST_SUITE_P(Families, WholeModel,
                         ::testing::Values("llama_untied_sharded", "qwen2", "qwen3", "gemma2", "cohere2", "phi3",
                                           "glm4", "olmo2", "ministral3", "qwen2_moe", "gpt_oss", "llama4_text",
                                           "glm4_moe_groups", "deepseek_v2_q_lora", "qwen3_next", "olmo_hybrid",
                                           "lfm2_moe", "nemotron", "granitemoehybrid", "nemotron_h_latent",
                                           "gemma4_text", "gemma4_text_moe", "gemma4_unified_text", kMadeUp,
                                           kSideBySide));

}  // namespace model_gradient_test
}  // namespace strata::engine
