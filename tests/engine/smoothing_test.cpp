// Scaled channels change no bit of what a model puts out: all golden models, with powers of two made up.
#include "model/smoothing.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "engine/engine.h"
#include "support/golden_model.h"

namespace strata::engine {
namespace smoothing_test {

using model::Norm;
using model::Site;
using model::SmoothSite;

/// Exponents from -2 to 2 for every channel of every site.
model::ChannelExponents made_up(const std::vector<SmoothSite>& sites) {
  model::ChannelExponents exponents;
  for (std::size_t i = 0; i < sites.size(); ++i) {
    exponents.emplace_back();
    for (std::size_t c = 0; c < sites[i].size; ++c)
      exponents.back().push_back(static_cast<int>((7 * c + 3 * i) % 5) - 2);
  }
  return exponents;
}

std::vector<float> logits_of(const model::Model& model, kernel::Precision precision) {
  const model::Architecture& a = model.architecture();
  Engine engine(model, precision);
  std::vector<Token> tokens(9);
  for (std::size_t t = 0; t < tokens.size(); ++t) tokens[t] = static_cast<Token>((5 + 11 * t) % a.vocab);
  const Sequence sequence{tokens.size()};
  const std::vector<float> h = engine.forward(tokens, {&sequence, 1});
  std::vector<float> logits(tokens.size() * a.vocab);
  engine.logits(h.data(), tokens.size(), logits.data());
  return logits;
}

/// The places whose rows are scaled in block 0, by what makes them.
std::set<std::string> makers(const model::Model& model) {
  std::set<std::string> names;
  for (const SmoothSite& site : model::smooth_sites(model))
    if (site.block == 0) names.insert(site.norm ? fmt::format("norm of {} linears", site.linears.size()) : "up");
  return names;
}

class SmoothedGolden : public ::testing::TestWithParam<std::string> {};

TEST_P(SmoothedGolden, HasTheSameLogitsToTheBit) {
  const model::Model original = model::Model::open(golden_model(GetParam()));
  const std::vector<SmoothSite> sites = model::smooth_sites(original);
  if (sites.empty()) GTEST_SKIP() << "nothing to scale";
  const model::Model smoothed = original.smoothed(made_up(sites));
  EXPECT_EQ(smoothed.fingerprint(), original.fingerprint());
  for (const auto precision : {kernel::Precision::f32, kernel::Precision::bf16}) {
    const std::vector<float> expected = logits_of(original, precision), found = logits_of(smoothed, precision);
    for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_EQ(found[i], expected[i]) << i;
  }
  const model::Linear& linear = original.architecture().linears[sites.front().linears.front()];
  const model::LinearWeights before = original.weights(linear), after = smoothed.weights(linear);
  float w = 0.0f, scaled = 0.0f;
  read_row(before.view().dense, 0, 0, 1, &w);
  read_row(after.view().dense, 0, 0, 1, &scaled);
  EXPECT_EQ(scaled, w * 0.25f);
}

std::vector<std::string> names() {
  std::vector<std::string> result;
  for (const auto& entry : std::filesystem::directory_iterator(golden_model("llama_tied").parent_path()))
    if (std::filesystem::exists(entry.path() / "config.json")) result.push_back(entry.path().filename().string());
  std::ranges::sort(result);
  return result;
}
INSTANTIATE_TEST_SUITE_P(All, SmoothedGolden, ::testing::ValuesIn(names()),
                         [](const auto& param) { return param.param; });

TEST(SmoothSites, AreThoseWhoseNormNothingElseReads) {
  using Makers = std::set<std::string>;
  const auto of = [](const char* name) { return makers(model::Model::open(golden_model(name))); };
  EXPECT_EQ(of("llama_tied"), (Makers{"norm of 3 linears", "norm of 2 linears", "up"}));
  EXPECT_EQ(of("gemma"), (Makers{"up"}));                        // norms multiply by 1 + w
  EXPECT_EQ(of("mixtral"), (Makers{"norm of 3 linears"}));       // a router reads the other norm
  EXPECT_EQ(of("olmo"), (Makers{"up"}));                         // norms have no weights
  EXPECT_EQ(of("olmo2"), (Makers{"up"}));                        // there is no norm before the halves
  EXPECT_EQ(of("cohere"), (Makers{"norm of 5 linears", "up"}));  // both halves read one norm
  EXPECT_EQ(of("gpt2"), (Makers{"norm of 1 linears"}));          // up goes through an activation
  EXPECT_EQ(of("glm_moe_dsa"), Makers());                        // an indexer reads them too
  EXPECT_EQ(of("qwen3_fp8_channel"), Makers());                  // an output takes its codes over
}

}  // namespace smoothing_test
}  // namespace strata::engine
