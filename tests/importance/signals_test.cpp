// Compares every signal with its definition, on hand-made rows and weights, by plain loops over tiny models, and on
// SmolLM2 with a numpy reference (tests/golden/README.md).
#include <cmath>

#include "importance/score.h"
#include "importance/signal.h"
#include "support/tiny_model.h"

namespace strata::importance {
namespace signals_test {

using ::strata::fixtures::golden_ids;
using ::strata::fixtures::golden_model;
using ::strata::fixtures::TinyModel;

CalibrationSet set_of(std::vector<std::vector<engine::Token>> ids) {
  return calibration_from_tokens(std::move(ids), {{"ids"}});
}

/// A request for all signals of blocks.
ScoreRequest block_signals() {
  ScoreRequest request;
  for (const Signal& signal : signals())
    if (signal.of_rows != nullptr || signal.of_block != nullptr) request.signals.push_back(&signal);
  return request;
}

/// The signal of one block and the given sequences of (before, after) rows of width 2.
Estimate of_rows(const Signal& signal,
                 const std::vector<std::pair<std::vector<float>, std::vector<float>>>& sequences) {
  std::vector<double> values;
  for (const auto& [before, after] : sequences)
    values.push_back(signal.of_rows({before.size() / 2, 2, before.data(), after.data()}));
  return estimate(values);
}

TEST(Signals, NamesAreUniqueAndEveryOneHasExactlyOneFunctionOfItsLevel) {
  for (const Signal& signal : signals()) {
    EXPECT_EQ(&signal_by_name(signal.name), &signal);
    const std::vector<std::pair<bool, Level>> functions = {
        {signal.of_rows != nullptr, Level::block},     {signal.of_block != nullptr, Level::block},
        {signal.of_linear != nullptr, Level::error},   {signal.observe_linears != nullptr, Level::linear},
        {signal.of_groups != nullptr, Level::group},   {signal.of_architecture != nullptr, Level::group},
        {signal.of_choices != nullptr, Level::choice},
    };
    std::size_t set = 0;
    for (const auto& [is_set, level] : functions) {
      set += is_set ? 1 : 0;
      EXPECT_TRUE(!is_set || level == signal.level) << signal.name;
    }
    EXPECT_EQ(set, 1u) << signal.name;
    EXPECT_FALSE(signal.meaning.empty());
  }
  EXPECT_NE(::strata::fixtures::error_of([] { signal_by_name("lin"); }).find("the known are lim, "), std::string::npos);
}

TEST(Signals, LimIsTheMeanOfEachTokensCosine) {
  // cos = 1, 0, 1/sqrt(2): the length of the vectors does not matter.
  const std::vector<float> before = {1, 0, 5, 0, 100, 0}, after = {3, 0, 0, 7, 1, 1};
  const Estimate lim = of_rows(signal_by_name("lim"), {{before, after}});
  EXPECT_DOUBLE_EQ(lim.mean, -(1.0 + std::sqrt(0.5)) / 3.0);
  EXPECT_FALSE(lim.standard_error);
}

TEST(Signals, LimFlatIsTheCosineOfTheWholeMatrix) {
  const std::vector<float> before = {1, 0, 2, 0}, after = {3, 0, 0, 4};
  const Estimate flat = of_rows(signal_by_name("lim_flat"), {{before, after}});
  EXPECT_DOUBLE_EQ(flat.mean, -3.0 / (std::sqrt(5.0) * 5.0));
}

TEST(Signals, StandardErrorsAreOverSequences) {
  const std::vector<float> x = {1, 0}, same = {2, 0}, across = {0, 1}, against = {-1, 0};
  const Estimate lim = of_rows(signal_by_name("lim"), {{x, same}, {x, across}, {x, against}, {x, across}});
  EXPECT_DOUBLE_EQ(lim.mean, 0.0);
  EXPECT_DOUBLE_EQ(*lim.standard_error, std::sqrt(2.0 / 3.0 / 4.0));
}

TEST(Signals, AZeroVectorHasNoDirection) {
  const std::vector<float> zero = {0, 0}, x = {1, 0};
  for (const char* name : {"lim", "lim_flat"}) EXPECT_EQ(of_rows(signal_by_name(name), {{zero, x}}).mean, 0.0);
}

TEST(Signals, ABlockThatAddsNothingHasLimMinusOne) {
  TinyModel tiny("llama_tied");
  for (const char* linear : {"self_attn.o_proj", "mlp.down_proj"})
    tiny.set(fmt::format("model.layers.1.{}.weight", linear), [](std::size_t) { return 0.0f; });
  const model::Model model = model::Model::open(tiny.path());
  engine::Engine engine(model);
  const Scores scores = score(engine, set_of(golden_ids("llama_tied")), block_signals()).scores;
  EXPECT_NEAR(scores.blocks.at("lim").values[1], -1.0, 1e-12);
  EXPECT_NEAR(scores.blocks.at("lim_flat").values[1], -1.0, 1e-12);
  EXPECT_GT(scores.blocks.at("lim").values[0], -0.999);
}

/// All weights of a block as doubles, by linear.
std::vector<std::vector<double>> block_weights(const model::Model& model, std::size_t block) {
  std::vector<std::vector<double>> result;
  for (const model::Linear& linear : model.architecture().linears) {
    if (linear.block != block) continue;
    const model::LinearWeights weights = model.weights(linear);
    std::vector<float> row(linear.cols);
    result.emplace_back();
    for (std::size_t r = 0; r < linear.rows; ++r) {
      read_row(weights.view().dense, r, 0, linear.cols, row.data());
      result.back().insert(result.back().end(), row.begin(), row.end());
    }
  }
  return result;
}

struct PlainMoments {
  double mean = 0, deviation = 0, beyond = 0, kurtosis = 0, extremal = 0;
};
PlainMoments plain_moments(const std::vector<double>& w) {
  PlainMoments m;
  const auto n = static_cast<double>(w.size());
  double largest = 0, magnitude = 0, fourth = 0;
  for (const double x : w) m.mean += x / n;
  for (const double x : w) m.deviation += (x - m.mean) * (x - m.mean) / n;
  m.deviation = std::sqrt(m.deviation);
  for (const double x : w) {
    m.beyond += std::fabs((x - m.mean) / m.deviation) > 1.0 ? 1.0 / n : 0.0;
    fourth += std::pow((x - m.mean) / m.deviation, 4) / n;
    largest = std::max(largest, std::fabs(x));
    magnitude += std::fabs(x) / n;
  }
  m.kurtosis = fourth;
  m.extremal = largest / magnitude;
  return m;
}

TEST(Signals, WeightSignalsFollowTheirDefinitions) {
  TinyModel tiny("llama_tied");
  // A linear with another mean and spread than the rest, so that pooling matters.
  tiny.set("model.layers.0.mlp.up_proj.weight",
           [](std::size_t i) { return 0.4f + 0.3f * std::sin(static_cast<float>(i)); });
  const model::Model model = model::Model::open(tiny.path());
  for (std::size_t block = 0; block < 2; ++block) {
    const auto linears = block_weights(model, block);
    std::vector<double> pooled;
    double zd_linear_mean = 0;
    for (const auto& w : linears) {
      pooled.insert(pooled.end(), w.begin(), w.end());
      zd_linear_mean += plain_moments(w).beyond / 7.0;
    }
    const PlainMoments want = plain_moments(pooled);
    const BlockWeights weights(model, block);
    EXPECT_NEAR(zd(weights), want.beyond, 1e-12);
    EXPECT_NEAR(zd_linear(weights), zd_linear_mean, 1e-12);
    EXPECT_NEAR(extremal(weights), want.extremal, 1e-9);
    EXPECT_NEAR(kurtosis(weights), want.kurtosis, 1e-9);
    if (block == 0) {
      EXPECT_GT(std::fabs(want.beyond - zd_linear_mean), 0.01);
    }
  }
}

TEST(Signals, EqualWeightsHaveNoSpread) {
  TinyModel tiny("llama_tied");
  for (const char* linear : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                             "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
    tiny.set(fmt::format("model.layers.0.{}.weight", linear), [](std::size_t) { return 0.1f; });
    tiny.set(fmt::format("model.layers.1.{}.weight", linear), [](std::size_t) { return 0.0f; });
  }
  const model::Model model = model::Model::open(tiny.path());
  const BlockWeights equal(model, 0), zero(model, 1);
  for (const BlockWeights* weights : {&equal, &zero}) {
    EXPECT_EQ(zd(*weights), 0.0);
    EXPECT_EQ(zd_linear(*weights), 0.0);
    EXPECT_EQ(kurtosis(*weights), 0.0);
  }
  EXPECT_NEAR(extremal(equal), 1.0, 1e-12);
  EXPECT_EQ(extremal(zero), 0.0);
}

TEST(Signals, SmolLM2EqualsTheReference) {
  const std::filesystem::path folder = std::filesystem::path(STRATA_TEST_MODELS) / "smollm2";
  if (!std::filesystem::exists(folder / "config.json"))
    GTEST_SKIP() << "no SmolLM2 in " << folder << " (scripts/make_testbed.py)";
  const ::strata::fixtures::Threads all(0);
  const json golden = read_json_file(std::filesystem::path(STRATA_TEST_DATA) / "golden/smollm2_scores.json");
  const model::Model model = model::Model::open(folder);
  engine::Engine engine(model);
  const Scores scores =
      score(engine, set_of({golden["ids"].get<std::vector<engine::Token>>()}), block_signals()).scores;
  const auto compare = [&](const char* signal, const char* key, double tolerance) {
    const std::vector<double>& got = scores.blocks.at(signal).values;
    ASSERT_EQ(got.size(), golden[key].size());
    for (std::size_t b = 0; b < got.size(); ++b)
      EXPECT_NEAR(got[b], golden[key][b].get<double>(), tolerance) << signal << " " << b;
  };
  compare("lim", "lim", 1e-5);
  compare("lim_flat", "lim_flat", 1e-5);
  compare("zd", "zd", 1e-8);
  compare("zd_linear", "zd_mean_of_linears", 1e-8);
  compare("extremal", "extremal", 1e-6);
}

}  // namespace signals_test
}  // namespace strata::importance
