// Log-likelihoods of continuations are those of whole passes, whatever mixers keep of the context.
// The context runs once, so that continuations must not see each other.
#include "eval/continuations.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "kernel/softmax.h"
#include "support/error_of.h"
#include "support/golden_model.h"

namespace strata::eval {
namespace continuations_test {

using engine::Token;

/// Of one continuation, by a pass over context and continuation together.
Continuation whole(engine::Engine& engine, std::vector<Token> tokens, const std::vector<Token>& continuation) {
  const std::size_t from = tokens.size(), vocab = engine.architecture().vocab;
  tokens.insert(tokens.end(), continuation.begin(), continuation.end());
  const engine::Sequence sequence{tokens.size()};
  const std::vector<float> h = engine.forward(tokens, {&sequence, 1});
  std::vector<float> logits(tokens.size() * vocab);
  engine.logits(h.data(), tokens.size(), logits.data());
  Continuation result;
  for (std::size_t t = from; t < tokens.size(); ++t) {
    const float* row = logits.data() + (t - 1) * vocab;
    const kernel::SoftmaxRow softmax = kernel::softmax_row(row, vocab);
    result.log_likelihood += static_cast<double>(row[tokens[t]]) - softmax.log_sum_exp;
    result.greedy = result.greedy && softmax.argmax == tokens[t];
  }
  return result;
}

class Continuations : public ::testing::TestWithParam<const char*> {};

TEST_P(Continuations, EqualWholePasses) {
  const model::Model model = model::Model::open(golden_model(GetParam()));
  engine::Engine engine(model);
  const std::vector<Token> context = {3, 14, 15, 9, 26, 5, 35};
  std::vector<std::vector<Token>> continuations = {{8, 9, 7}, {8}, {}, {32, 38, 4, 6, 26, 4}};
  std::vector<float> logits(model.architecture().vocab);
  const engine::Sequence sequence{context.size()};
  const std::vector<float> h = engine.forward(context, {&sequence, 1});
  engine.logits(h.data() + (context.size() - 1) * model.architecture().hidden, 1, logits.data());
  const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
  continuations.push_back({static_cast<Token>(best)});
  const auto results = log_likelihoods(engine, context, continuations);
  ASSERT_EQ(results.size(), continuations.size());
  for (std::size_t c = 0; c < results.size(); ++c) {
    const Continuation expected = whole(engine, context, continuations[c]);
    EXPECT_NEAR(results[c].log_likelihood, expected.log_likelihood, 1e-4) << c;
    EXPECT_EQ(results[c].greedy, expected.greedy) << c;
  }
  EXPECT_EQ(results[2].log_likelihood, 0.0);
  EXPECT_TRUE(results.back().greedy);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Continuations,
                         ::testing::Values("llama_tied", "mistral_sliding", "deepseek_v3", "lfm2", "mamba2",
                                           "mixtral"));

TEST(Continuations, OfNothingAndOfUnknownTokensAreRefused) {
  const model::Model model = model::Model::open(golden_model("llama_tied"));
  engine::Engine engine(model);
  const std::vector<std::vector<Token>> one = {{1}}, unknown = {{9999}};
  const std::vector<Token> context = {1};
  EXPECT_NE(error_of([&] { log_likelihoods(engine, {}, one); }).find("is empty"), std::string::npos);
  EXPECT_NE(error_of([&] { log_likelihoods(engine, context, unknown); }).find("token 9999 is outside"),
            std::string::npos);
}

}  // namespace continuations_test
}  // namespace strata::eval
