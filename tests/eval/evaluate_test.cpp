// Perplexity and KL divergence equal sums by hand on tiny models, and transformers' figures on SmolLM2.
// tests/golden/README.md says how the goldens were made.
#include "eval/evaluate.h"

#include <cmath>

#include "support/tiny_model.h"

namespace strata::eval {
namespace evaluate_test {

using ::strata::fixtures::error_of;
using ::strata::fixtures::golden_ids;
using ::strata::fixtures::golden_model;
using ::strata::fixtures::Threads;
using ::strata::fixtures::TinyModel;
using Chunks = std::vector<std::vector<engine::Token>>;

void expect_same(const Evaluation& a, const Evaluation& b) { EXPECT_EQ(a.to_json().dump(), b.to_json().dump()); }

TEST(Statistics, OfPositionsByHand) {
  PositionScores positions;
  positions.nll = {1.0, 2.0, 3.0, 6.0};      // mean 3, sample variance 14 / 3
  positions.ref_nll = {1.0, 1.0, 1.0, 1.0};  // no spread
  positions.kl = {0.0, 0.4, 0.1, 0.3};
  positions.agree = {1.0, 0.0, 1.0, 1.0};
  const Evaluation e = summarize(positions);
  EXPECT_EQ(e.tokens, 4u);
  EXPECT_DOUBLE_EQ(e.perplexity, std::exp(3.0));
  EXPECT_DOUBLE_EQ(*e.perplexity_standard_error, std::exp(3.0) * std::sqrt(14.0 / 3.0 / 4.0));
  EXPECT_DOUBLE_EQ(*e.ref_perplexity, std::exp(1.0));
  EXPECT_EQ(*e.ref_perplexity_standard_error, 0.0);
  EXPECT_DOUBLE_EQ(e.kl_divergence->mean, 0.2);
  EXPECT_DOUBLE_EQ(*e.kl_divergence->standard_error, std::sqrt((0.04 + 0.04 + 0.01 + 0.01) / 3.0 / 4.0));
  EXPECT_DOUBLE_EQ(e.kl_divergence->median, 0.2);
  EXPECT_DOUBLE_EQ(e.kl_divergence->p99, 0.3 + 0.1 * 0.97);
  EXPECT_EQ(e.kl_divergence->max, 0.4);
  EXPECT_EQ(*e.top1_agreement, 0.75);
}

TEST(Statistics, OfASinglePositionHaveNoStandardError) {
  const json value = summarize({{1.0}, {1.0}, {0.5}, {1.0}}).to_json();
  EXPECT_TRUE(value["perplexity_stderr"].is_null());
  EXPECT_TRUE(value["kl_divergence"]["stderr"].is_null());
  EXPECT_EQ(value["kl_divergence"]["p99"], 0.5);
}

TEST(Statistics, JsonHasTheDocumentedKeysAndNullForWhatWasNotMeasured) {
  PositionScores alone;
  alone.nll = {1.0, 2.0};
  const json value = summarize(alone).to_json();
  for (const char* key : {"perplexity", "perplexity_stderr", "tokens"}) EXPECT_TRUE(value[key].is_number()) << key;
  for (const char* key : {"ref_perplexity", "kl_divergence", "top1_agreement"}) {
    ASSERT_TRUE(value.contains(key)) << key;
    EXPECT_TRUE(value[key].is_null()) << key;
  }
}

TEST(Evaluation, SaysWhichTextItWasMeasuredOn) {
  Evaluation e = summarize({{1.0, 2.0}, {}, {}, {}});
  EXPECT_EQ(e.measured_on(), "2 tokens");
  EXPECT_FALSE(e.to_json().contains("text"));
  e.text = EvaluatedText{};
  EXPECT_EQ(e.measured_on(), "2 tokens that the model wrote itself, other than those of the calibration");
  EXPECT_EQ(e.to_json()["text"], json({{"source", "model"}, {"used_by_calibration", false}}));
  e.text = EvaluatedText{"wiki.txt", false};
  EXPECT_EQ(e.measured_on(), "2 tokens of wiki.txt that the calibration did not use");
  e.text->used_by_calibration = true;
  EXPECT_EQ(e.measured_on(), "2 tokens of wiki.txt that the calibration used too, since the text has no more");
  EXPECT_EQ(e.to_json()["text"], json({{"source", "wiki.txt"}, {"used_by_calibration", true}}));
}

TEST(Evaluate, ScoredPositionsAreThoseOfLlamaCpp) {
  EXPECT_EQ(first_scored(512), 256u);
  EXPECT_EQ(first_scored(512) + scored_count(512) - 1, 510u);
  EXPECT_EQ(scored_count(4), 1u);
}

TEST(Evaluate, AModelAgainstItselfHasNoDivergenceAtAll) {
  for (const char* name : {"llama_tied", "llama_untied_sharded", "qwen3"}) {
    const model::Model model = model::Model::open(golden_model(name));
    engine::Engine a(model), b(model);
    const Evaluation e = evaluate(a, &b, golden_ids(name));
    EXPECT_EQ(e.tokens, 2 * scored_count(40)) << name;
    EXPECT_EQ(e.kl_divergence->mean, 0.0);
    EXPECT_EQ(e.kl_divergence->max, 0.0);
    EXPECT_EQ(*e.top1_agreement, 1.0);
    EXPECT_EQ(e.perplexity, *e.ref_perplexity);
  }
}

TEST(Evaluate, AUniformModelHasThePerplexityOfItsVocabulary) {
  TinyModel tiny("llama_tied");
  tiny.set("model.norm.weight", [](std::size_t) { return 0.0f; });
  const model::Model model = model::Model::open(tiny.path());
  engine::Engine engine(model);
  const Evaluation e = evaluate(engine, nullptr, golden_ids("llama_tied"));
  EXPECT_NEAR(e.perplexity, 80.0, 1e-4);
  EXPECT_NEAR(*e.perplexity_standard_error, 0.0, 1e-4);
  EXPECT_FALSE(e.kl_divergence);
}

TEST(Evaluate, FiguresEqualAPlainComputationFromLogits) {
  TinyModel tiny("llama_tied");
  tiny.set("model.layers.1.mlp.down_proj.weight", [](std::size_t i) { return i % 7 == 0 ? 0.1f : -0.02f; });
  const model::Model changed = model::Model::open(tiny.path()), plain = model::Model::open(golden_model("llama_tied"));
  engine::Engine q(changed), p(plain);
  const Chunks chunks = golden_ids("llama_tied");
  const Evaluation e = evaluate(q, &p, chunks);

  PositionScores expected;
  for (const auto& chunk : chunks) {
    const engine::Sequence sequence{chunk.size()};
    std::vector<float> logits[2];
    for (engine::Engine* engine : {&q, &p}) {
      std::vector<float>& out = logits[engine == &p];
      out.resize(chunk.size() * 80);
      engine->logits(engine->forward(chunk, {&sequence, 1}).data(), chunk.size(), out.data());
    }
    for (std::size_t t = 20; t <= 38; ++t) {
      const std::span<const float> row[2] = {std::span(logits[0]).subspan(t * 80, 80),
                                             std::span(logits[1]).subspan(t * 80, 80)};
      double norm[2] = {};
      for (int m = 0; m < 2; ++m) {
        for (const float x : row[m]) norm[m] += std::exp(static_cast<double>(x));
        norm[m] = std::log(norm[m]);
      }
      double kl = 0;
      for (std::size_t v = 0; v < 80; ++v) {
        const double log_p = static_cast<double>(row[1][v]) - norm[1];
        kl += std::exp(log_p) * (log_p - static_cast<double>(row[0][v]) + norm[0]);
      }
      expected.nll.push_back(norm[0] - static_cast<double>(row[0][chunk[t + 1]]));
      expected.ref_nll.push_back(norm[1] - static_cast<double>(row[1][chunk[t + 1]]));
      expected.kl.push_back(kl);
      const auto top = [](auto r) { return std::max_element(r.begin(), r.end()) - r.begin(); };
      expected.agree.push_back(top(row[0]) == top(row[1]) ? 1.0 : 0.0);
    }
  }
  const Evaluation want = summarize(expected);
  EXPECT_GT(want.kl_divergence->mean, 1e-4);
  EXPECT_EQ(e.tokens, want.tokens);
  EXPECT_NEAR(e.perplexity, want.perplexity, 1e-5 * want.perplexity);
  EXPECT_NEAR(*e.ref_perplexity, *want.ref_perplexity, 1e-5 * want.perplexity);
  EXPECT_NEAR(e.kl_divergence->mean, want.kl_divergence->mean, 1e-6);
  EXPECT_NEAR(e.kl_divergence->max, want.kl_divergence->max, 1e-6);
  EXPECT_EQ(*e.top1_agreement, *want.top1_agreement);
}

TEST(Evaluate, SeveralModelsHaveTheFiguresOfEachByItself) {
  TinyModel tiny("llama_tied"), other("llama_tied");
  tiny.set("model.layers.1.mlp.down_proj.weight", [](std::size_t i) { return i % 7 == 0 ? 0.1f : -0.02f; });
  other.set("model.layers.0.mlp.up_proj.weight", [](std::size_t i) { return i % 3 == 0 ? 0.1f : -0.05f; });
  const model::Model first = model::Model::open(tiny.path()), second = model::Model::open(other.path());
  const model::Model plain = model::Model::open(golden_model("llama_tied"));
  engine::Engine a(first), b(second), p(plain);
  const Chunks chunks = golden_ids("llama_tied");
  engine::Engine* const models[] = {&a, &b};
  const std::vector<Evaluation> both = evaluate(models, &p, chunks);
  ASSERT_EQ(both.size(), 2u);
  const Evaluation alone[] = {evaluate(a, &p, chunks), evaluate(b, &p, chunks)};
  expect_same(both[0], alone[0]);
  Evaluation second_alone = both[1];
  second_alone.kl_change.reset();
  expect_same(second_alone, alone[1]);
  EXPECT_FALSE(both[0].kl_change);
  EXPECT_NEAR(both[1].kl_change->mean, alone[1].kl_divergence->mean - alone[0].kl_divergence->mean, 1e-12);
  EXPECT_GT(*both[1].kl_change->standard_error, 0.0);
}

using Kind = codec::ActivationRounding::Kind;

TEST(Evaluate, RoundedInputsAreASecondRunOfTheSameModel) {
  const model::Model plain = model::Model::open(golden_model("llama_tied"));
  engine::Engine q(plain), p(plain);
  const Chunks chunks = golden_ids("llama_tied");
  std::vector<codec::ActivationRounding> rounding(plain.architecture().linears.size());
  rounding[0] = {Kind::e4m3_token};
  rounding[3] = rounding[4] = {Kind::int8_token};
  const Judged judged[] = {{&q, &rounding}};
  const Evaluation e = evaluate(judged, &p, chunks).front();
  ASSERT_TRUE(e.as_it_runs);
  EXPECT_EQ(e.kl_divergence->mean, 0.0) << "the weights are those of the original";
  EXPECT_GT(e.as_it_runs->kl_divergence->mean, 1e-8);
  EXPECT_LT(e.as_it_runs->kl_divergence->mean, 1e-2);
  EXPECT_EQ(e.as_it_runs->kl_change->mean, e.as_it_runs->kl_divergence->mean);
  EXPECT_EQ(e.as_it_runs->describe(), "fp8 by token in 1 linear, int8 by token in 2 linears");
  const json value = e.to_json()["as_it_runs"];
  EXPECT_EQ(value["linears"], (json{{"fp8 by token", 1}, {"int8 by token", 2}}));
  EXPECT_EQ(value["cached_blocks"], 0);
  for (const char* key : {"perplexity", "perplexity_stderr", "kl_divergence", "top1_agreement", "kl_change"})
    EXPECT_FALSE(value[key].is_null()) << key;

  Evaluation weights = e;
  weights.as_it_runs.reset();
  expect_same(weights, evaluate(q, &p, chunks));
  EXPECT_TRUE(evaluate(judged, nullptr, chunks).front().to_json()["as_it_runs"]["kl_divergence"].is_null());
}

TEST(Evaluate, AnFp8CacheIsASecondRunToo) {
  const model::Model plain = model::Model::open(golden_model("llama_tied"));
  engine::Engine q(plain), p(plain);
  std::vector<model::CacheScales> cache(plain.architecture().blocks);
  cache[1] = {0.01f, 0.02f};
  const Judged judged[] = {{&q, nullptr, &cache}};
  const Evaluation e = evaluate(judged, &p, golden_ids("llama_tied")).front();
  ASSERT_TRUE(e.as_it_runs);
  EXPECT_EQ(e.as_it_runs->describe(), "fp8 cache in 1 block");
  EXPECT_EQ(e.kl_divergence->mean, 0.0);
  EXPECT_GT(e.as_it_runs->kl_divergence->mean, 0.0);
  EXPECT_LT(e.as_it_runs->kl_divergence->mean, 0.1);
}

TEST(Evaluate, WhereNothingIsRoundedThereIsNoSecondRun) {
  const model::Model plain = model::Model::open(golden_model("llama_tied"));
  engine::Engine q(plain);
  std::vector<codec::ActivationRounding> rounding(plain.architecture().linears.size());
  rounding[0] = {Kind::unknown};
  const Judged judged[] = {{&q, &rounding}};
  EXPECT_FALSE(evaluate(judged, nullptr, golden_ids("llama_tied")).front().to_json().contains("as_it_runs"));
}

TEST(Evaluate, EachOfSeveralModelsHasItsOwnRounding) {
  const model::Model plain = model::Model::open(golden_model("llama_tied"));
  engine::Engine a(plain), b(plain), p(plain);
  const Chunks chunks = golden_ids("llama_tied");
  const std::vector<codec::ActivationRounding> rounding(plain.architecture().linears.size(), {Kind::int8_token});
  const Judged judged[] = {{&a}, {&b, &rounding}}, alone[] = {{&b, &rounding}};
  const std::vector<Evaluation> both = evaluate(judged, &p, chunks);
  EXPECT_FALSE(both[0].as_it_runs);
  EXPECT_EQ(both[1].as_it_runs->to_json(), evaluate(alone, &p, chunks).front().as_it_runs->to_json());
}

TEST(Evaluate, TheSameFiguresForAnyNumberOfThreads) {
  TinyModel tiny("llama_tied");
  tiny.set("model.layers.0.mlp.up_proj.weight", [](std::size_t i) { return i % 3 == 0 ? 0.1f : -0.05f; });
  const model::Model changed = model::Model::open(tiny.path()), plain = model::Model::open(golden_model("llama_tied"));
  engine::Engine q(changed), p(plain);
  const Evaluation one = evaluate(q, &p, golden_ids("llama_tied"));
  const Threads threads(5);
  const Evaluation five = evaluate(q, &p, golden_ids("llama_tied"));
  expect_same(one, five);
}

TEST(Evaluate, ModelsOfTwoVocabulariesAreRefused) {
  TinyModel tiny("llama_tied");
  tiny.shrink_vocabulary(3);
  const model::Model small = model::Model::open(tiny.path()), plain = model::Model::open(golden_model("llama_tied"));
  engine::Engine a(small), b(plain);
  const std::string message = error_of([&] { evaluate(a, &b, Chunks{{1, 2, 3, 4}}); });
  EXPECT_NE(message.find("vocabulary of 77 tokens"), std::string::npos) << message;
  EXPECT_NE(message.find("one of 80"), std::string::npos) << message;
}

TEST(Evaluate, ATokenOutsideTheVocabularyIsRefused) {
  const model::Model plain = model::Model::open(golden_model("llama_tied"));
  engine::Engine engine(plain);
  const std::string message = error_of([&] { evaluate(engine, nullptr, Chunks{{1, 2, 3, 80}}); });
  EXPECT_NE(message.find("the token 80 is in the text, but the embedding has 80 rows"), std::string::npos) << message;
}

TEST(Evaluate, LogitsThatAreNotFiniteAreNamed) {
  TinyModel tiny("llama_tied");
  tiny.set_element("model.norm.weight", 5, INFINITY);
  const model::Model broken = model::Model::open(tiny.path()), plain = model::Model::open(golden_model("llama_tied"));
  engine::Engine bad(broken), good(plain);
  const Chunks chunks = golden_ids("llama_tied");
  const std::string alone = error_of([&] { evaluate(bad, nullptr, chunks); });
  EXPECT_NE(alone.find("of sequence 0 are not finite"), std::string::npos) << alone;
  EXPECT_NE(alone.find(tiny.path().string()), std::string::npos) << alone;
  const std::string as_original = error_of([&] { evaluate(good, &bad, chunks); });
  EXPECT_NE(as_original.find(tiny.path().string()), std::string::npos) << as_original;
}

TEST(Evaluate, SmolLM2EqualsTransformers) {
  const std::filesystem::path models = STRATA_TEST_MODELS;
  if (!std::filesystem::exists(models / "smollm2/config.json") ||
      !std::filesystem::exists(models / "smollm2-dither1/config.json"))
    GTEST_SKIP() << "no SmolLM2 in " << models << " (scripts/make_testbed.py)";
  const Threads all(0);
  const json golden = read_json_file(std::filesystem::path(STRATA_TEST_DATA) / "golden/smollm2_eval.json");
  const auto ids = golden["ids"].get<std::vector<engine::Token>>();
  Chunks chunks;
  for (std::size_t i = 0; i < ids.size(); i += 512)
    chunks.emplace_back(ids.begin() + static_cast<std::ptrdiff_t>(i),
                        ids.begin() + static_cast<std::ptrdiff_t>(i + 512));
  const model::Model plain = model::Model::open(models / "smollm2");
  const model::Model dithered = model::Model::open(models / "smollm2-dither1");
  engine::Engine p(plain), q(dithered);
  const json got = evaluate(q, &p, chunks).to_json();
  const auto expect_near = [](const json& a, const json& b, double tolerance) {
    EXPECT_NEAR(a.get<double>(), b.get<double>(), tolerance * b.get<double>());
  };
  EXPECT_EQ(got["tokens"], golden["tokens"]);
  for (const char* key : {"perplexity", "perplexity_stderr", "ref_perplexity", "ref_perplexity_stderr"})
    expect_near(got[key], golden[key], 1e-3);
  for (const char* key : {"mean", "stderr", "median", "p99", "max"})
    expect_near(got["kl_divergence"][key], golden["kl_divergence"][key], 1e-3);
  // One position of 1020 may be a tie that rounding decides.
  EXPECT_NEAR(got["top1_agreement"].get<double>(), golden["top1_agreement"].get<double>(), 1.5 / 1020);
}

}  // namespace evaluate_test
}  // namespace strata::eval
