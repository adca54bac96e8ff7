// Tests signals of linears and groups: errors equal plain products of the engine's own activations, magnitudes equal
// those made by hand, and the rules of the literature hold.
#include <cmath>
#include <map>
#include <numeric>

#include "importance/score.h"
#include "quantize/rtn.h"
#include "support/random_tokens.h"
#include "support/tiny_model.h"

namespace strata::importance {
namespace linear_signals_test {

using engine::Site;
using ::strata::fixtures::error_of;
using ::strata::fixtures::golden_model;

TEST(RoundingError, IsSummedByColumn) {
  // keep rounds to bf16: 1 + 2^-9 becomes 1.
  const std::vector<float> weights = {1.0f + 0x1p-9f, 2.0f, 1.0f, 2.0f + 0x1p-8f}, importance = {100.0f, 1.0f};
  const std::vector<double> weights_of_rows = {3.0, 0.5};
  const MatrixView view = MatrixView::dense(weights.data(), 2, 2, DType::f32);
  const ColumnProducts error = rounding_error(codec::by_name("keep"), view, importance, codec::ScaleFit::minmax, 1.0f,
                                              {.products = true, .weights_of_rows = weights_of_rows});
  EXPECT_EQ(error.weighted_squares, (std::vector<double>{3.0 * 0x1p-18, 0x1p-16 / 2}));
  EXPECT_EQ(error.squares, (std::vector<double>{0x1p-18, 0x1p-16}));
  EXPECT_EQ(error.products->at(0, 0), 0x1p-18f);
  EXPECT_EQ(error.products->at(0, 1), 0.0f);
  const ColumnProducts whole = column_products(view, {.products = true});
  EXPECT_TRUE(whole.weighted_squares.empty());
  EXPECT_FLOAT_EQ(whole.products->at(1, 0), (1.0f + 0x1p-9f) * 2.0f + 2.0f + 0x1p-8f);
  const LinearInputs inputs{{{100.0, 1.0}, {0.0, 2.0}}, {}, {}};
  EXPECT_EQ(act_mse(inputs, error), (std::vector<double>{100.0 * 0x1p-18 + 0x1p-16, 2.0 * 0x1p-16}));
}

TEST(RowSample, StandsForTheWholeWhereAFewRowsHoldMostOfTheWeight) {
  constexpr std::size_t rows = 3000, cols = 64;
  const std::vector<float> weights(rows * cols, 1.0f + 0x1p-9f), importance(cols, 1.0f);
  std::vector<double> of_rows(rows);
  for (std::size_t r = 0; r < rows; ++r) of_rows[r] = r % 100 == 7 ? 70.7 : 0.3;
  const RowSample sample(MatrixView::dense(weights.data(), rows, cols, DType::f32), of_rows);
  EXPECT_EQ(sample.rows.rows, rows / 2);  // 65,536 weights are 1024 rows, and every second one is the fewest above that
  ASSERT_EQ(sample.weights.size(), sample.rows.rows);
  EXPECT_EQ(sample.weights[1], of_rows[sampled_step(MatrixView::dense(weights.data(), rows, cols, DType::f32))]);
  const ColumnProducts error = rounding_error(codec::by_name("keep"), sample.rows, importance, codec::ScaleFit::minmax,
                                              1.0f, {.products = false, .weights_of_rows = sample.weights});
  const double all = std::accumulate(of_rows.begin(), of_rows.end(), 0.0);
  EXPECT_NEAR(sample.all_weights * error.weighted_squares[5], all * 0x1p-18, 1e-9 * all * 0x1p-18);
  EXPECT_NEAR(sample.all_rows * error.squares[5], rows * 0x1p-18, 1e-9 * rows * 0x1p-18);
  EXPECT_TRUE(RowSample(MatrixView::dense(weights.data(), rows, cols, DType::f32), {}).weights.empty());
}

/// Rows that every linear of the model reads, sequence by sequence, by the engine itself.
std::map<std::string, std::vector<std::vector<float>>> inputs_of(engine::Engine& engine, const CalibrationSet& set) {
  std::map<std::string, std::vector<std::vector<float>>> result;
  const model::Model& model = engine.model();
  HeadInput head(model);
  const PassObserver observer = [&](const SiteRows& rows) {
    for (const model::Linear& linear : model.architecture().linears) {
      std::optional<SiteRows> read;
      if (linear.role == model::Role::lm_head)
        read = head.of(rows);
      else if (linear.block == rows.block && engine::input_site(linear.role) == rows.site)
        read = rows;
      if (!read) continue;
      for (std::size_t s = 0; s < read->sequences; ++s)
        result[linear.module].emplace_back(read->of_sequence(s), read->of_sequence(s) + read->tokens * read->size);
    }
  };
  run_calibration(engine, set, {&observer, 1});
  return result;
}

/// rows (tokens, cols) times matrix (out, cols)^T, in double.
std::vector<double> times(const std::vector<float>& rows, const std::vector<float>& matrix, std::size_t cols) {
  const std::size_t out = matrix.size() / cols;
  std::vector<double> result(rows.size() / cols * out, 0.0);
  for (std::size_t t = 0; t < rows.size() / cols; ++t)
    for (std::size_t r = 0; r < out; ++r)
      for (std::size_t c = 0; c < cols; ++c)
        result[t * out + r] += static_cast<double>(rows[t * cols + c]) * static_cast<double>(matrix[r * cols + c]);
  return result;
}

struct Fixture {
  explicit Fixture(const char* name) : model(model::Model::open(golden_model(name))) {}
  model::Model model;
  engine::Engine engine{model};
  CalibrationSet set = random_tokens(model.architecture().vocab, 5, 12, 3);
  const model::Architecture& a = model.architecture();
};

TEST(Hessian, IsTheMeanSquaredErrorOfTheOutput) {
  Fixture f("llama_untied_sharded");
  const codec::Codec& codec = codec::by_name("int3_channel");
  ScoreRequest request;
  request.signals = {&signal_by_name("hessian"), &signal_by_name("act_mse")};
  request.codecs = {&codec};
  request.fit = codec::ScaleFit::minmax;
  const Scores scores = score(f.engine, f.set, request).scores;
  const auto inputs = inputs_of(f.engine, f.set);
  const InputMeanSquare squares = input_mean_square(f.engine, f.set);
  for (std::size_t l = 0; l < f.a.linears.size(); ++l) {
    const model::Linear& linear = f.a.linears[l];
    const DenseLinear dense(f.model, linear);
    const codec::Stored stored = quantize::quantize_rtn(codec, dense.view(), squares.of(linear), request.fit, 1.0f);
    std::vector<float> weights(linear.rows * linear.cols), lost(weights.size());
    for (std::size_t r = 0; r < linear.rows; ++r) {
      codec::widen_row(dense.view(), r, std::span(weights).subspan(r * linear.cols, linear.cols));
      codec::decode_row(stored, r, 0, linear.cols, &lost[r * linear.cols]);
    }
    for (std::size_t i = 0; i < lost.size(); ++i) lost[i] = weights[i] - lost[i];
    double error = 0, energy = 0;
    for (const auto& rows : inputs.at(linear.module)) {
      for (const double y : times(rows, lost, linear.cols)) error += y * y / 60.0;
      for (const double y : times(rows, weights, linear.cols)) energy += y * y / 60.0;
    }
    const LinearScores& got = scores.linears.at("hessian")[l];
    EXPECT_NEAR(got.codecs[0].error, error, 1e-4 * error) << linear.module;
    EXPECT_NEAR(got.normalizer, energy, 1e-4 * energy) << linear.module;
    EXPECT_GT(got.codecs[0].standard_error, 0.0);
    EXPECT_NE(got.codecs[0].error, scores.linears.at("act_mse")[l].codecs[0].error);
  }
  for (const char* name : {"hessian", "act_mse"}) EXPECT_LE(scores.stability.at(name), 1.0 + 1e-12);
}

/// E|W (x - r(x))|^2 for columns whose errors are uncorrelated, by the engine's own rows.
double input_error(const std::vector<std::vector<float>>& inputs, const std::vector<float>& weights,
                   const codec::ActivationRounding& rounding, std::size_t cols) {
  std::vector<double> energy(cols), error(cols);
  for (std::size_t i = 0; i < weights.size(); ++i)
    energy[i % cols] += static_cast<double>(weights[i]) * static_cast<double>(weights[i]);
  double tokens = 0;
  for (const auto& rows : inputs) {
    std::vector<float> rounded(rows.size());
    for (std::size_t t = 0; t < rows.size() / cols; ++t, ++tokens)
      codec::round_activations(rounding, std::span(rows).subspan(t * cols, cols),
                               std::span(rounded).subspan(t * cols, cols));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const double lost = static_cast<double>(rows[i]) - static_cast<double>(rounded[i]);
      error[i % cols] += lost * lost;
    }
  }
  double sum = 0;
  for (std::size_t c = 0; c < cols; ++c) sum += energy[c] * error[c] / tokens;
  return sum;
}

TEST(ActMse, OfRoundedInputsAddsWhatTheyLose) {
  Fixture f("llama_untied_sharded");
  using enum codec::ActivationRounding::Kind;
  const codec::Codec* const codecs[] = {&codec::by_name("nvfp4_a4"), &codec::by_name("fp8_static"),
                                        &codec::by_name("int8_channel")};
  ScoreRequest request;
  for (const char* signal : {"act_mse", "hessian", "fisher"}) request.signals.push_back(&signal_by_name(signal));
  request.codecs.assign(std::begin(codecs), std::end(codecs));
  const Scores of_weights = score(f.engine, f.set, request).scores;
  request.measure.rounded_inputs.kinds = {{codecs[0], nvfp4}, {codecs[1], e4m3_tensor}};
  const Scores scores = score(f.engine, f.set, request).scores;
  EXPECT_EQ(scores.rounded_inputs.at("fp8_static"), "fp8 with a fixed scale");
  EXPECT_EQ(Scores::from_json(scores.to_json(), f.model, "s").rounded_inputs, scores.rounded_inputs);
  const auto inputs = inputs_of(f.engine, f.set);
  const InputMeanSquare moments = input_mean_square(f.engine, f.set);
  for (std::size_t l = 0; l < f.a.linears.size(); ++l) {
    const model::Linear& linear = f.a.linears[l];
    const DenseLinear dense(f.model, linear);
    std::vector<float> weights(linear.rows * linear.cols);
    for (std::size_t r = 0; r < linear.rows; ++r)
      codec::widen_row(dense.view(), r, std::span(weights).subspan(r * linear.cols, linear.cols));
    for (std::size_t c = 0; c < 2; ++c) {
      const auto rounding = moments.rounding(linear, codecs[c]->activations);
      float largest = 0;
      for (const auto& rows : inputs.at(linear.module))
        for (const float x : rows) largest = std::max(largest, std::fabs(x));
      EXPECT_EQ(rounding.scale, codec::fixed_scale(codecs[c]->activations, largest)) << linear.module;
      const double expected = input_error(inputs.at(linear.module), weights, rounding, linear.cols);
      for (const char* signal : {"act_mse", "hessian"}) {
        const double added =
            scores.linears.at(signal)[l].codecs[c].error - of_weights.linears.at(signal)[l].codecs[c].error;
        EXPECT_NEAR(added, expected, 1e-3 * expected) << signal << ' ' << linear.module << ' ' << codecs[c]->name;
      }
      EXPECT_GT(scores.linears.at("fisher")[l].codecs[c].error, of_weights.linears.at("fisher")[l].codecs[c].error);
    }
    EXPECT_EQ(scores.linears.at("fisher")[l].codecs[2].error, of_weights.linears.at("fisher")[l].codecs[2].error);
  }
}

/// In a mixture, linears of experts read rows that no site of the block shows.
TEST(ActMse, OfRoundedInputsIsOfExpertsToo) {
  for (const char* name : {"qwen3_moe", "mixtral"}) {
    Fixture f(name);
    const codec::Codec& codec = codec::by_name("mxfp8_a8");
    ScoreRequest request;
    request.signals = {&signal_by_name("act_mse")};
    request.codecs = {&codec};
    const Scores of_weights = score(f.engine, f.set, request).scores;
    request.measure.rounded_inputs.kinds = {{&codec, codec.activations}};
    const Scores scores = score(f.engine, f.set, request).scores;
    for (std::size_t l = 0; l < f.a.linears.size(); ++l) {
      const LinearScores &before = of_weights.linears.at("act_mse")[l], &after = scores.linears.at("act_mse")[l];
      if (before.codecs.empty()) continue;
      EXPECT_GT(after.codecs[0].error, before.codecs[0].error) << before.module;
      EXPECT_LT(after.codecs[0].error, 4 * before.codecs[0].error) << before.module << ": weights are in FP8 too";
    }
  }
}

TEST(Spike, IsTheLargestMagnitudeInAndOutOfALinear) {
  for (const char* name : {"llama_untied_sharded", "llama_attention_bias"}) {
    Fixture f(name);
    ScoreRequest request;
    request.signals = {&signal_by_name("spike"), &signal_by_name("spike_out")};
    const Scores scores = score(f.engine, f.set, request).scores;
    const auto inputs = inputs_of(f.engine, f.set);
    for (std::size_t l = 0; l < f.a.linears.size(); ++l) {
      const model::Linear& linear = f.a.linears[l];
      const DenseLinear dense(f.model, linear);
      std::vector<float> weights(linear.rows * linear.cols), bias(linear.rows, 0.0f);
      for (std::size_t r = 0; r < linear.rows; ++r)
        codec::widen_row(dense.view(), r, std::span(weights).subspan(r * linear.cols, linear.cols));
      if (linear.bias) bias = f.model.vector(linear.module + ".bias", linear.rows);
      double in = 0, out = 0;
      for (const auto& rows : inputs.at(linear.module)) {
        double most = 0, most_out = 0;
        for (const float x : rows) most = std::max(most, std::fabs(static_cast<double>(x)));
        const std::vector<double> y = times(rows, weights, linear.cols);
        for (std::size_t i = 0; i < y.size(); ++i)
          most_out = std::max(most_out, std::fabs(y[i] + static_cast<double>(bias[i % linear.rows])));
        in += most / 5;
        out += most_out / 5;
      }
      EXPECT_NEAR(scores.modules.at("spike").values[l], in, 1e-6 * in) << linear.module;
      EXPECT_NEAR(scores.modules.at("spike_out").values[l], out, 1e-5 * out) << linear.module;
      EXPECT_GT(scores.modules.at("spike").standard_errors[l], 0.0);
    }
  }
}

TEST(Residual, IsTheRootMeanSquareOfTheStream) {
  const std::vector<float> before = {9, 9, 9, 9}, one = {3, 4, 0, 0}, two = {1, 1, -1, 1};
  EXPECT_EQ(residual({2, 2, before.data(), one.data()}), std::sqrt(12.5) / 2);
  EXPECT_EQ(residual({2, 2, before.data(), two.data()}), 1.0);
}

model::Architecture small_architecture(std::size_t blocks, bool tied) {
  model::Architecture a;
  a.blocks = blocks;
  a.hidden = a.intermediate = 64;
  a.heads = a.kv_heads = 1;
  a.head_dim = 64;
  a.vocab = 80;
  a.tied = tied;
  model::list_linears(a);
  return a;
}

TEST(Prior, FollowsTheLiterature) {
  const model::Architecture a = small_architecture(16, false);
  const std::vector<double> values = prior(a);
  const auto of = [&](std::size_t block, model::Role role) { return values[a.linear(block, role).group]; };
  using model::Role;
  EXPECT_GT(of(8, Role::down), of(8, Role::q));
  EXPECT_GT(of(8, Role::down), of(8, Role::o));
  EXPECT_GT(of(0, Role::up), of(15, Role::up));
  EXPECT_GT(of(15, Role::up), of(8, Role::up));
  EXPECT_EQ(of(2, Role::up), of(8, Role::up));
  EXPECT_GT(values[a.linears.back().group], of(8, Role::down));
}

TEST(Prior, InHybridsStatesComeFirstAndAttentionCountsMore) {
  model::Architecture a = small_architecture(16, true);
  const std::vector<double> plain = Prior::literature().of_linears(a);
  const double q = plain[a.index(7, model::Role::q)], down = plain[a.index(7, model::Role::down)];
  a.delta = {.key_heads = 1, .value_heads = 1, .key_size = 64, .value_size = 64, .kernel = 4};
  for (std::size_t b = 0; b < a.blocks; ++b)
    if (b % 4 != 3) a.attention[b].mixer = model::Mixer::delta;
  model::list_linears(a);
  const std::vector<double> values = Prior::literature().of_linears(a);
  EXPECT_EQ(values[a.index(7, model::Role::q)], 2 * q);
  EXPECT_EQ(values[a.index(7, model::Role::down)], down);
  EXPECT_GT(values[a.index(6, model::Role::o)], values[a.index(6, model::Role::down)]);
  const std::vector<std::size_t> kept = Prior::literature().kept(a);
  EXPECT_TRUE(std::ranges::count(kept, a.linear(6, model::Role::in_b).group) != 0);
  EXPECT_TRUE(std::ranges::count(kept, a.linear(6, model::Role::in_qkv).group) == 0);
}

TEST(Prior, RoutedExpertsComeLast) {
  model::Architecture a = small_architecture(16, true);
  a.experts.count = 4;
  a.experts.used = 2;
  a.experts.intermediate = a.experts.shared_intermediate = 64;
  for (model::BlockLinears& block : a.layout) block.mixture = true;
  model::list_linears(a);
  const std::vector<double> values = Prior::literature().of_linears(a);
  using model::Role;
  const double routed = values[a.index(8, Role::up, 1)];
  EXPECT_GT(values[a.index(8, Role::o)], routed);
  EXPECT_GT(values[a.index(8, Role::q)], routed);
  EXPECT_GT(values[a.index(8, Role::up, model::kSharedExpert)], routed);
  EXPECT_GT(values[a.index(8, Role::down, 1)], routed);
}

TEST(Prior, RulesAreData) {
  const model::Architecture a = small_architecture(4, true);
  const auto read = [](const char* rules) {
    return Prior::from_json(
        parse_json(fmt::format(R"({{"format":"strata prior","version":1,"rules":{}}})", rules), "r"), "r.json");
  };
  const Prior mine = read(R"([{"match":"down","weight":3},{"match":"","blocks":{"first":1},"weight":2},
                              {"match":"q_proj","keep":true,"blocks":{"last":1},"why":"so"}])");
  const std::vector<double> weights = mine.of_linears(a);
  EXPECT_EQ(weights[a.index(0, model::Role::down)], 6.0);
  EXPECT_EQ(weights[a.index(1, model::Role::down)], 3.0);
  EXPECT_EQ(weights[a.index(0, model::Role::q)], 2.0);
  EXPECT_EQ(weights[a.index(3, model::Role::q)], 1.0);
  EXPECT_EQ(mine.kept(a), std::vector<std::size_t>{a.linear(3, model::Role::q).group});
  EXPECT_EQ(mine.of_groups(a)[a.linear(0, model::Role::down).group], 6.0);

  const auto refusal = [&](const char* rules) { return error_of([&] { read(rules); }); };
  EXPECT_NE(refusal("7").find("r.json: 'rules' is missing"), std::string::npos);
  EXPECT_NE(refusal(R"([{"match":"x","weight":0}])").find("rule 1: 'weight' is 0"), std::string::npos);
  EXPECT_NE(refusal(R"([{"match":"x","factor":1}])").find("'factor' is not known"), std::string::npos);
  EXPECT_NE(refusal(R"([{"match":"x","blocks":{}}])").find("neither 'first' nor 'last'"), std::string::npos);
  EXPECT_NE(refusal(R"([{"weight":1}])").find("'match' is missing"), std::string::npos);
  EXPECT_NE(refusal(R"([{"match":"("}])").find("rule 1 '(': not a regular expression"), std::string::npos);
  EXPECT_NE(error_of([] { Prior::from_json(json::array(), "r.json"); }).find("r.json: is not a file of rules"),
            std::string::npos);
}

}  // namespace linear_signals_test
}  // namespace strata::importance
