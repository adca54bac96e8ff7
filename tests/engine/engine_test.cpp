// Compares the engine with transformers' f32 logits, for tiny random models of every family and variant and SmolLM2.
// tests/golden/README.md says how the goldens were made.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "core/file.h"
#include "engine/modes.h"

namespace strata::engine {
namespace engine_test {

namespace fs = std::filesystem;

struct Golden {
  std::vector<std::vector<Token>> sequences;
  std::vector<std::vector<float>> logits;
};

Golden read_golden(const fs::path& folder, std::size_t vocab) {
  const json meta = read_json_file(folder / "golden.json");
  const std::string bytes = read_text_file(folder / "logits.f32");
  Golden golden;
  std::size_t at = 0;
  for (const json& ids : meta["ids"]) {
    golden.sequences.push_back(ids.get<std::vector<Token>>());
    std::vector<float> logits(golden.sequences.back().size() * vocab);
    std::memcpy(logits.data(), bytes.data() + at, logits.size() * sizeof(float));
    at += logits.size() * sizeof(float);
    golden.logits.push_back(std::move(logits));
  }
  EXPECT_EQ(at, bytes.size());
  return golden;
}

std::vector<float> logits_of(Engine& engine, std::span<const Token> tokens, std::span<const Sequence> sequences) {
  const std::vector<float> h = engine.forward(tokens, sequences);
  std::vector<float> logits(tokens.size() * engine.architecture().vocab);
  engine.logits(h.data(), tokens.size(), logits.data());
  return logits;
}

double largest_difference(std::span<const float> a, std::span<const float> b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    largest = std::max(largest, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  return largest;
}

class TinyModel : public ::testing::TestWithParam<std::string> {
 protected:
  fs::path folder() const { return fs::path(STRATA_TEST_DATA) / "golden/models" / GetParam(); }
};

TEST_P(TinyModel, LogitsEqualTransformers) {
  const model::Model model = model::Model::open(folder());
  Engine engine(model);
  const Golden golden = read_golden(folder(), engine.architecture().vocab);
  for (std::size_t s = 0; s < golden.sequences.size(); ++s) {
    const Sequence sequence{golden.sequences[s].size()};
    const auto logits = logits_of(engine, golden.sequences[s], {&sequence, 1});
    EXPECT_LT(largest_difference(logits, golden.logits[s]), 1e-3) << "sequence " << s;
  }
}

TEST(Engine, HeadsInLlamaCppsOrderGiveTheSameLogits) {
  const fs::path folder = fs::path(STRATA_TEST_DATA) / "golden/models/qwen3_5_text";
  const model::Model model = model::Model::open(folder, model::Fusion::single);
  ASSERT_TRUE(model.architecture().delta.tiled);
  Engine engine(model);
  const Golden golden = read_golden(folder, engine.architecture().vocab);
  const Sequence sequence{golden.sequences[0].size()};
  const auto logits = logits_of(engine, golden.sequences[0], {&sequence, 1});
  EXPECT_LT(largest_difference(logits, golden.logits[0]), 1e-3);
}

TEST_P(TinyModel, ABatchGivesWhatItsSequencesGiveAlone) {
  const model::Model model = model::Model::open(folder());
  Engine engine(model);
  const Golden golden = read_golden(folder(), engine.architecture().vocab);
  std::vector<Token> tokens;
  std::vector<float> expected;
  std::vector<Sequence> sequences;
  for (std::size_t s = 0; s < golden.sequences.size(); ++s) {
    tokens.insert(tokens.end(), golden.sequences[s].begin(), golden.sequences[s].end());
    expected.insert(expected.end(), golden.logits[s].begin(), golden.logits[s].end());
    sequences.push_back({golden.sequences[s].size()});
  }
  EXPECT_LT(largest_difference(logits_of(engine, tokens, sequences), expected), 1e-3);
}

TEST_P(TinyModel, TokenByTokenWithACacheGivesTheSameLogits) {
  const model::Model model = model::Model::open(folder());
  const model::Rope::Scaling scaling = model.architecture().ropes.front().scaling;
  if (scaling == model::Rope::Scaling::dynamic || scaling == model::Rope::Scaling::longrope)
    GTEST_SKIP() << "the rotary embedding depends on the length of the call";
  Engine engine(model);
  const Golden golden = read_golden(folder(), engine.architecture().vocab);
  const std::vector<Token>& ids = golden.sequences.front();
  const std::size_t vocab = engine.architecture().vocab;
  KvCache cache(engine.architecture().blocks);
  for (std::size_t t = 0; t < ids.size();) {
    const std::size_t count = t == 0 ? 5 : 1;
    const Sequence sequence{count, &cache};
    const auto logits = logits_of(engine, std::span(ids).subspan(t, count), {&sequence, 1});
    EXPECT_LT(largest_difference(logits, std::span(golden.logits.front()).subspan(t * vocab, count * vocab)), 1e-3)
        << "token " << t;
    t += count;
  }
  EXPECT_EQ(cache.positions, ids.size());
}

TEST_P(TinyModel, ACacheInBf16GivesNearlyTheSameLogits) {
  const model::Model model = model::Model::open(folder());
  const std::vector<Token> ids = {3, 1, 4, 1, 5, 9, 2, 6};
  Engine engine(model);
  const std::size_t vocab = engine.architecture().vocab;
  const bool routes = std::ranges::any_of(engine.architecture().layout, &model::BlockLinears::mixture);
  KvCache wide(engine.architecture().blocks), narrow(engine.architecture().blocks, DType::bf16);
  for (std::size_t t = 0; t < ids.size();) {
    const std::size_t count = t == 0 ? 3 : 1;
    const Sequence exact{count, &wide}, rounded{count, &narrow};
    const auto want = logits_of(engine, std::span(ids).subspan(t, count), {&exact, 1});
    const auto logits = logits_of(engine, std::span(ids).subspan(t, count), {&rounded, 1});
    double square = 0.0, difference = 0.0;
    for (std::size_t i = 0; i < count * vocab; ++i) {
      square += std::pow(static_cast<double>(want[i]), 2);
      difference += std::pow(static_cast<double>(want[i] - logits[i]), 2);
    }
    // Rounding may send a token to other experts.
    if (!routes) {
      EXPECT_LT(difference, 4e-3 * square) << "token " << t;
    }
    t += count;
  }
  // Every key and value is in bf16, in as many numbers as the other cache has in f32, or in f32 in both.
  for (std::size_t b = 0; b < narrow.short_keys.size(); ++b) {
    const std::size_t size = engine.architecture().kv_size(b);
    const HeadRows &keys = narrow.short_keys[b], &values = narrow.short_values[b];
    if (keys.positions() != 0) {
      EXPECT_TRUE(narrow.keys[b].empty() && narrow.values[b].empty()) << b;
    }
    EXPECT_EQ(narrow.keys[b].size() + keys.positions() * size, wide.keys[b].size()) << b;
    EXPECT_EQ(narrow.values[b].size() + values.positions() * size, wide.values[b].size()) << b;
  }
}

TEST_P(TinyModel, HalvesInTurnGiveTheBlock) {
  const model::Model model = model::Model::open(folder());
  Engine engine(model);
  const std::vector<Sequence> sequences = {{3}, {4}};
  Batch batch = engine.make_batch(sequences);
  batch.ids = {1, 2, 3, 4, 5, 6, 7};
  std::vector<float> whole(7 * engine.architecture().hidden), shared(7 * engine.architecture().shared_size);
  batch.shared = shared.data();
  engine.embed(batch.ids, whole.data());
  for (std::size_t block = 0; block < engine.architecture().blocks; ++block) {
    const std::vector<float> input = whole;
    std::vector<float> halves = whole;
    engine.run_block(block, batch, whole.data());
    for (const Half half : {Half::attention, Half::feed_forward}) {
      const bool reads_input = engine::reads_input(engine.architecture(), half);
      engine.run_half(half, block, batch, reads_input ? input.data() : halves.data(), halves.data(), nullptr);
    }
    EXPECT_EQ(halves, whole) << "block " << block;
  }
}

std::vector<std::string> tiny_models() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(fs::path(STRATA_TEST_DATA) / "golden/models"))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}
INSTANTIATE_TEST_SUITE_P(AllFamilies, TinyModel, ::testing::ValuesIn(tiny_models()),
                         [](const auto& tested) { return tested.param; });

TEST(SmolLm2, LogitsEqualTransformers) {
  const fs::path folder = fs::path(STRATA_TEST_MODELS) / "smollm2";
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is absent; scripts/test.sh makes it";
  const json golden = read_json_file(fs::path(STRATA_TEST_DATA) / "golden/smollm2_logits.json");
  const model::Model model = model::Model::open(folder);
  Engine engine(model);
  const auto ids = golden["ids"].get<std::vector<Token>>();
  const auto argmax = golden["argmax"].get<std::vector<Token>>();
  const auto positions = golden["positions"].get<std::vector<std::size_t>>();
  const auto vocabulary = golden["vocabulary"].get<std::vector<std::size_t>>();
  const Sequence sequence{ids.size()};
  const auto logits = logits_of(engine, ids, {&sequence, 1});
  const std::size_t vocab = engine.architecture().vocab;
  for (std::size_t i = 0; i < positions.size(); ++i)
    for (std::size_t j = 0; j < vocabulary.size(); ++j)
      EXPECT_NEAR(logits[positions[i] * vocab + vocabulary[j]], golden["logits"][i][j].get<double>(), 1e-3);
  std::size_t equal = 0;
  for (std::size_t t = 0; t < ids.size(); ++t) {
    const auto row = std::span(logits).subspan(t * vocab, vocab);
    equal += static_cast<Token>(std::max_element(row.begin(), row.end()) - row.begin()) == argmax[t];
  }
  EXPECT_GE(static_cast<double>(equal), 0.999 * static_cast<double>(ids.size()));
}

TEST_P(TinyModel, FollowingARecordingGivesTheChangeOfTheWholeProducts) {
  const model::Model model = model::Model::open(folder());
  Engine engine(model);
  const Golden golden = read_golden(folder(), engine.architecture().vocab);
  const std::vector<Token>& tokens = golden.sequences[0];
  const Sequence sequence{tokens.size()};
  Record record;
  const std::vector<float> original = [&] {
    const Recording recording(engine, &record);
    return engine.forward(tokens, {&sequence, 1});
  }();
  std::optional<Following> following(std::in_place, engine, &record);
  EXPECT_EQ(engine.forward(tokens, {&sequence, 1}), original);
  // In one linear of the first block every other weight becomes 1 % larger: what is above it changes little. (A norm
  // after the linear would undo a factor of all weights.)
  const std::size_t changed = engine.architecture().index(0, model::Role::o);
  const model::Linear& linear = engine.architecture().linears[changed];
  const model::LinearWeights held = model.weights(linear);
  std::vector<float> weights(linear.rows * linear.cols);
  for (std::size_t r = 0; r < linear.rows; ++r)
    read_row(held.view().dense, r, 0, linear.cols, &weights[r * linear.cols]);
  for (std::size_t i = 0; i < weights.size(); i += 2) weights[i] *= 1.01f;
  Replacing replacing(engine);
  replacing.set(changed, {MatrixView::dense(weights.data(), linear.rows, linear.cols, DType::f32), nullptr});
  const std::vector<float> followed = engine.forward(tokens, {&sequence, 1});
  following.reset();
  const std::vector<float> whole = engine.forward(tokens, {&sequence, 1});
  EXPECT_GT(largest_difference(whole, original), 1e-5);
  EXPECT_LT(largest_difference(whole, followed), 0.02 * largest_difference(whole, original));
}

TEST(Engine, ATokenOutsideTheVocabularyIsRefused) {
  const model::Model model = model::Model::open(fs::path(STRATA_TEST_DATA) / "golden/models/llama_tied");
  Engine engine(model);
  const Token token = static_cast<Token>(engine.architecture().vocab);
  const Sequence sequence{1};
  EXPECT_THROW(engine.forward({&token, 1}, {&sequence, 1}), Error);
}

TEST(Engine, AReplacedLinearChangesTheOutputAndRestoringUndoesIt) {
  const model::Model model = model::Model::open(fs::path(STRATA_TEST_DATA) / "golden/models/llama_tied");
  Engine engine(model);
  const std::vector<Token> ids = {1, 2, 3};
  const Sequence sequence{ids.size()};
  const auto before = logits_of(engine, ids, {&sequence, 1});
  const std::size_t index = engine.architecture().index(0, model::Role::down);
  const model::Linear& linear = engine.architecture().linears[index];
  const std::vector<float> zeros(linear.rows * linear.cols, 0.0f);
  Replacing replacing(engine);
  replacing.set(index, {MatrixView::dense(zeros.data(), linear.rows, linear.cols, DType::f32), nullptr});
  EXPECT_GT(largest_difference(logits_of(engine, ids, {&sequence, 1}), before), 1e-3);
  replacing.reset(index);
  EXPECT_EQ(logits_of(engine, ids, {&sequence, 1}), before);
}

TEST(Engine, ObserversSeeEverySiteOfEveryBlockOnce) {
  const model::Model model = model::Model::open(fs::path(STRATA_TEST_DATA) / "golden/models/llama_tied");
  Engine engine(model);
  std::vector<std::pair<Site, std::size_t>> seen;
  const Observer observer = [&](Site site, std::size_t block, const float*, std::size_t tokens, std::size_t) {
    EXPECT_EQ(tokens, 3u);
    seen.emplace_back(site, block);
  };
  const std::vector<Token> ids = {1, 2, 3};
  const Sequence sequence{ids.size()};
  engine.forward(ids, {&sequence, 1}, &observer);
  ASSERT_EQ(seen.size(), 6 * engine.architecture().blocks);
  const std::vector<Site> order = {Site::block_in, Site::attn_in, Site::o_in,
                                   Site::mlp_in,   Site::down_in, Site::block_out};
  for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], std::make_pair(order[i % 6], i / 6));
}

TEST(Engine, ObserversSeeTheHalfThatABlockHasAndWhatNarrowExpertsRead) {
  const model::Model model = model::Model::open(fs::path(STRATA_TEST_DATA) / "golden/models/nemotron_h_latent");
  Engine engine(model);
  const model::Architecture& a = engine.architecture();
  std::vector<std::vector<Site>> seen(a.blocks);
  const Observer observer = [&](Site site, std::size_t block, const float*, std::size_t, std::size_t size) {
    const bool narrow = site == Site::experts_in || site == Site::from_latent_in;
    EXPECT_TRUE(!narrow || size == a.experts.latent);
    if (block < a.blocks) seen[block].push_back(site);
  };
  const std::vector<Token> ids = {1, 2, 3};
  const Sequence sequence{ids.size()};
  engine.forward(ids, {&sequence, 1}, &observer);
  const std::vector<Site> mixer = {Site::block_in, Site::attn_in, Site::o_in, Site::block_out};
  const std::vector<Site> experts = {Site::block_in,   Site::mlp_in,         Site::down_in,
                                     Site::experts_in, Site::from_latent_in, Site::block_out};
  EXPECT_EQ(seen, (std::vector{mixer, experts, mixer, experts}));
}

}  // namespace engine_test
}  // namespace strata::engine
