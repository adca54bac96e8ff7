// Tests parts of the forward pass that no family of the table has: a made-up family is compared with a plain one whose
// weights do the same, or with sums written out here.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "engine/engine.h"
#include "support/made_model.h"

namespace strata::engine {
namespace parts_test {

using fixtures::MadeModel;
using fixtures::plain_family;
using model::Family;

const std::vector<Token> kTokens = {3, 17, 39, 0, 5, 5, 21, 8, 30, 12, 1};

std::vector<float> logits_of(const MadeModel& made) {
  const model::Model model = made.open();
  Engine engine(model);
  const Sequence sequence{kTokens.size()};
  const std::vector<float> h = engine.forward(kTokens, {&sequence, 1});
  std::vector<float> logits(kTokens.size() * engine.architecture().vocab);
  engine.logits(h.data(), kTokens.size(), logits.data());
  return logits;
}

Family family_with(const model::ScaleKeys& scales) {
  Family family = plain_family();
  family.scales = scales;
  return family;
}

/// Expects that the family with `key` set to `value` computes what the plain one does whose tensors ending in one of
/// `endings` are multiplied by `factor`. All factors are powers of two, so that nothing is rounded.
void expect_factor(const model::ScaleKeys& keys, const json& extra, const std::vector<std::string>& endings,
                   float factor) {
  const MadeModel scaled(family_with(keys), extra);
  MadeModel plain(plain_family());
  const std::vector<float> unchanged = logits_of(plain);
  for (const std::string& ending : endings) plain.change(ending, [&](float w) { return w * factor; });
  const std::vector<float> want = logits_of(plain);
  EXPECT_NE(want, unchanged);
  EXPECT_EQ(logits_of(scaled), want);
}

TEST(Parts, FactorsAreThoseOfTheWeightsTheyStandFor) {
  const std::vector<std::string> embedding = {"embed_tokens.weight"}, q = {"q_proj.weight"},
                                 outputs = {"o_proj.weight", "down_proj.weight"}, head = {"lm_head.weight"};
  expect_factor({.embedding_by_hidden = true}, json::object(), embedding, 8.0f);
  expect_factor({.embedding = "embedding_multiplier"}, {{"embedding_multiplier", 4.0}}, embedding, 4.0f);
  expect_factor({.query_size = "query_pre_attn_scalar"}, {{"query_pre_attn_scalar", 64}}, q, 0.5f);
  expect_factor({.attention = "attention_multiplier"}, {{"attention_multiplier", 0.5}}, q, 2.0f);
  expect_factor({.residual = "residual_multiplier"}, {{"residual_multiplier", 0.25}}, outputs, 0.25f);
  expect_factor({.logits_divisor = "logits_scaling"}, {{"logits_scaling", 4.0}}, head, 0.25f);
}

TEST(Parts, ChangedLogitsHaveTheFactorToo) {
  const MadeModel made(family_with({.logits_divisor = "logits_scaling"}), {{"logits_scaling", 4.0}});
  const model::Model model = made.open();
  Engine engine(model);
  const std::size_t hidden = engine.architecture().hidden, vocab = engine.architecture().vocab;
  std::vector<float> h(hidden), h0(hidden), change(vocab), logits(vocab), logits0(vocab);
  for (std::size_t i = 0; i < hidden; ++i)
    h0[i] = static_cast<float>(i % 7) - 3.0f, h[i] = h0[i] + 0.1f * static_cast<float>(i % 3);
  engine.logits_change(h.data(), h0.data(), 1, change.data());
  engine.logits(h.data(), 1, logits.data());
  engine.logits(h0.data(), 1, logits0.data());
  for (std::size_t i = 0; i < vocab; ++i) EXPECT_NEAR(change[i], logits[i] - logits0[i], 1e-3);
}

TEST(Parts, NormsMayHoldTheirWeightsLessOne) {
  Family family = plain_family();
  family.norm_offset = 1.0f;
  family.qk_norm = model::QkNorm::per_head;
  MadeModel less_one(family);
  less_one.change("norm.weight", [](float w) { return w - 1.0f; });
  family.norm_offset = 0.0f;
  EXPECT_EQ(logits_of(less_one), logits_of(MadeModel(family)));
}

/// y = x W^T for one row.
std::vector<float> product(const std::vector<float>& w, const float* x, std::size_t cols) {
  std::vector<float> y(w.size() / cols, 0.0f);
  for (std::size_t r = 0; r < y.size(); ++r)
    for (std::size_t c = 0; c < cols; ++c) y[r] += w[r * cols + c] * x[c];
  return y;
}

std::vector<float> rms_norm(std::vector<float> x, const std::vector<float>& weights) {
  double squares = 0;
  for (const float v : x) squares += static_cast<double>(v) * static_cast<double>(v);
  const double r = 1.0 / std::sqrt(squares / static_cast<double>(x.size()) + 1e-5);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(r * static_cast<double>(x[i] * weights[i]));
  return x;
}

TEST(Parts, NormsMayStandAfterTheHalvesInsteadOfBeforeThem) {
  Family family = plain_family();
  family.names = {.before_attention = {},
                  .after_attention = "post_attention_layernorm",
                  .before_feed_forward = {},
                  .after_feed_forward = "post_feedforward_layernorm"};
  const MadeModel made(family);
  const model::Model model = made.open();
  Engine engine(model);
  std::map<Site, std::vector<float>> rows;
  const Observer observer = [&](Site site, std::size_t block, const float* x, std::size_t tokens, std::size_t size) {
    if (block == 1) rows[site].assign(x, x + tokens * size);
  };
  const Sequence sequence{kTokens.size()};
  engine.forward(kTokens, {&sequence, 1}, &observer);
  EXPECT_EQ(rows[Site::attn_in], rows[Site::block_in]);
  const std::string block = "model.layers.1.";
  for (std::size_t t = 0; t < kTokens.size(); ++t) {
    std::vector<float> h(&rows[Site::block_in][t * 64], &rows[Site::block_in][t * 64] + 64);
    const auto add = [&](Site site, std::size_t size, const char* matrix, const char* norm) {
      const std::vector<float> made_by =
          rms_norm(product(made.tensor(block + matrix + ".weight"), &rows[site][t * size], size),
                   made.tensor(block + norm + ".weight"));
      for (std::size_t i = 0; i < h.size(); ++i) h[i] += made_by[i];
    };
    add(Site::o_in, 64, "self_attn.o_proj", "post_attention_layernorm");
    for (std::size_t i = 0; i < h.size(); ++i) ASSERT_NEAR(rows[Site::mlp_in][t * 64 + i], h[i], 1e-4);
    add(Site::down_in, 96, "mlp.down_proj", "post_feedforward_layernorm");
    for (std::size_t i = 0; i < h.size(); ++i) ASSERT_NEAR(rows[Site::block_out][t * 64 + i], h[i], 1e-4);
  }
  EXPECT_FALSE(ends_half(engine.architecture(), 1, Site::o_in));
}

TEST(Parts, BlocksWithAWindowMayHaveARotaryEmbeddingOfTheirOwn) {
  Family family = plain_family();
  family.window = model::WindowRule::every_block;
  json config = {{"sliding_window", 5}, {"layer_types", {"sliding_attention", "full_attention"}}};
  const auto run = [&](const Family& of, double theta, std::size_t block) {
    json with = config;
    with.update({{"rope_theta", theta}, {"rope_local_base_freq", 100.0}});
    const MadeModel made(of, with);
    const model::Model model = made.open();
    Engine engine(model);
    const Sequence sequence{kTokens.size()};
    std::vector<float> h(kTokens.size() * 64);
    engine.embed(kTokens, h.data());
    engine.run_block(block, engine.make_batch({&sequence, 1}), h.data());
    return h;
  };
  Family two = family;
  two.window_rope = true;
  EXPECT_EQ(run(two, 10000.0, 0), run(family, 100.0, 0));
  EXPECT_EQ(run(two, 10000.0, 1), run(family, 10000.0, 1));
  EXPECT_NE(run(two, 10000.0, 0), run(family, 10000.0, 0));
}

TEST(Parts, TokenByTokenWithACacheGivesTheSameLogits) {
  const MadeModel made(fixtures::full_family(), fixtures::full_config());
  const model::Model model = made.open();
  Engine engine(model);
  const std::size_t hidden = engine.architecture().hidden;
  const Sequence whole{kTokens.size()};
  const std::vector<float> want = engine.forward(kTokens, {&whole, 1});
  KvCache cache(engine.architecture().blocks);
  for (std::size_t t = 0; t < kTokens.size(); ++t) {
    const Sequence sequence{1, &cache};
    const std::vector<float> h = engine.forward({&kTokens[t], 1}, {&sequence, 1});
    for (std::size_t i = 0; i < hidden; ++i) ASSERT_NEAR(h[i], want[t * hidden + i], 1e-4) << t;
  }
}

}  // namespace parts_test
}  // namespace strata::engine
