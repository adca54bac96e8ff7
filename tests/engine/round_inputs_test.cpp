// Linears that read rounded inputs: each reads what codec::round_activations makes of its rows, once a site, and
// nothing of it is left when the mode ends.
#include "codec/activations.h"
#include "engine/modes.h"
#include "support/tiny_model.h"

namespace strata::engine {
namespace round_inputs_test {

using ::strata::fixtures::golden_ids;
using ::strata::fixtures::golden_model;
using ::strata::fixtures::Threads;
using ::strata::fixtures::TinyModel;
using Rounding = std::vector<codec::ActivationRounding>;
using Kind = codec::ActivationRounding::Kind;

Rounding all(const Engine& engine, Kind kind) { return Rounding(engine.architecture().linears.size(), {kind}); }

std::vector<float> logits_of(Engine& engine, const std::vector<Token>& tokens) {
  const Sequence sequence{tokens.size()};
  const std::vector<float> h = engine.forward(tokens, {&sequence, 1});
  std::vector<float> logits(tokens.size() * engine.architecture().vocab);
  engine.logits(h.data(), tokens.size(), logits.data());
  return logits;
}

TEST(RoundingInputs, AProductIsOfTheRoundedRows) {
  const model::Model model = model::Model::open(golden_model("llama_tied"));
  Engine engine(model);
  const model::Architecture& a = engine.architecture();
  const std::size_t cols = a.linear(0, model::Role::down).cols, tokens = 3;
  std::vector<float> rows(tokens * cols), rounded(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = 0.1f * static_cast<float>(i % 37) - 1.3f;
  for (const Kind kind : {Kind::int8_token, Kind::e4m3_token, Kind::mxfp4}) {
    for (std::size_t t = 0; t < tokens; ++t)
      codec::round_activations({kind}, std::span(rows).subspan(t * cols, cols),
                               std::span(rounded).subspan(t * cols, cols));
    std::vector<float> expected(tokens * a.hidden), got(expected.size()), after(expected.size());
    engine.add_output(0, Half::feed_forward, rounded.data(), tokens, expected.data());
    const Rounding rounding = all(engine, kind);
    {
      const RoundingInputs mode(engine, rounding);
      engine.add_output(0, Half::feed_forward, rows.data(), tokens, got.data());
    }
    EXPECT_EQ(got, expected) << codec::name_of(kind);
    engine.add_output(0, Half::feed_forward, rows.data(), tokens, after.data());
    EXPECT_NE(after, expected) << "the mode has ended";
  }
}

/// Rows of at most 128 values are rounded alike by token and in groups, but only equal rules share their rows.
TEST(RoundingInputs, SharedRowsAreThoseOfEachLinear) {
  for (const char* name : {"llama_tied", "llama_untied_sharded", "qwen3", "mixtral", "deepseek_v3", "qwen3_5_text"}) {
    if (!std::filesystem::exists(golden_model(name))) continue;
    const model::Model model = model::Model::open(golden_model(name));
    Engine engine(model);
    const std::vector<Token> tokens = golden_ids(name)[0];
    Rounding shared = all(engine, Kind::e4m3_token), apart = shared;
    for (std::size_t l = 0; l < apart.size(); l += 2) apart[l].kind = Kind::e4m3_groups;
    for (const model::Linear& linear : engine.architecture().linears) ASSERT_LE(linear.cols, 128u) << linear.module;
    std::vector<float> once, twice;
    {
      const RoundingInputs mode(engine, shared);
      once = logits_of(engine, tokens);
    }
    {
      const RoundingInputs mode(engine, apart);
      twice = logits_of(engine, tokens);
    }
    EXPECT_EQ(once, twice) << name;
    EXPECT_NE(once, logits_of(engine, tokens)) << name;
    const Threads threads(3);
    const RoundingInputs mode(engine, shared);
    EXPECT_EQ(once, logits_of(engine, tokens)) << name;
  }
}

TEST(RoundingInputs, UnknownRoundingsAndNoneAreReadAsTheyAre) {
  const model::Model model = model::Model::open(golden_model("llama_tied"));
  Engine engine(model);
  const std::vector<Token> tokens = golden_ids("llama_tied")[0];
  const std::vector<float> plain = logits_of(engine, tokens);
  for (const Rounding& rounding : {all(engine, Kind::unknown), all(engine, Kind::none), Rounding()}) {
    const RoundingInputs mode(engine, rounding);
    EXPECT_EQ(logits_of(engine, tokens), plain);
  }
}

TEST(HoldingCache, RoundsKeysAndValuesOfBlocksThatHaveScalesAndFindsTheirRange) {
  std::vector<float> k = {1.0f, -3.0f, 0.3f, 500.0f}, v = {0.0f, -0.5f, 7.0f, 2.0f};
  const std::vector<float> keys = k, values = v;
  CacheUse finding{std::vector<model::CacheScales>(2), false};
  finding.take(1, 2, 2, k.data(), v.data());
  EXPECT_EQ(finding.scales[1], (model::CacheScales{500.0f, 7.0f}));
  EXPECT_EQ(finding.scales[0], model::CacheScales());
  EXPECT_EQ(k, keys);
  CacheUse rounding{{{}, {1.0f, 0.015625f}}};
  rounding.take(0, 2, 2, k.data(), v.data());
  EXPECT_EQ(k, keys) << "the block has no scales";
  rounding.take(1, 2, 2, k.data(), v.data());
  EXPECT_EQ(k, (std::vector<float>{1.0f, -3.0f, 0.3125f, 448.0f}));
  EXPECT_EQ(v, values) << "all of them are values of E4M3";
}

TEST(HoldingCache, ChangesTheLogitsWhileItLasts) {
  const model::Model model = model::Model::open(golden_model("llama_tied"));
  Engine engine(model);
  const std::vector<Token> tokens = golden_ids("llama_tied")[0];
  const std::vector<float> plain = logits_of(engine, tokens);
  CacheUse use{std::vector<model::CacheScales>(engine.architecture().blocks, {0.01f, 0.01f})};
  {
    const HoldingCache mode(engine, use);
    EXPECT_NE(logits_of(engine, tokens), plain);
  }
  EXPECT_EQ(logits_of(engine, tokens), plain);
}

TEST(RoundingInputs, DoNotHideValuesThatAreNotFinite) {
  TinyModel tiny("llama_tied");
  tiny.set_element("model.layers.0.input_layernorm.weight", 3, INFINITY);
  const model::Model model = model::Model::open(tiny.path());
  Engine engine(model);
  for (const Kind kind : {Kind::int8_token, Kind::e4m3_token, Kind::mxfp4}) {
    const Rounding rounding = all(engine, kind);
    const RoundingInputs mode(engine, rounding);
    EXPECT_TRUE(std::isnan(logits_of(engine, golden_ids("llama_tied")[0]).front())) << codec::name_of(kind);
  }
}

}  // namespace round_inputs_test
}  // namespace strata::engine
