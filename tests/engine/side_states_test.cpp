// A model whose blocks read tokens and earlier blocks' keys besides hidden states gives the same, block by block over
// batches, as in one forward pass.
#include "engine/side_states.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/engine.h"
#include "support/golden_model.h"

namespace strata::engine {
namespace side_states_test {

using ::strata::golden_model;

constexpr std::size_t kSequences = 5, kTokens = 12, kTogether = 2;

std::vector<std::vector<Token>> some_sequences(std::size_t vocab) {
  std::vector<std::vector<Token>> sequences(kSequences, std::vector<Token>(kTokens));
  for (std::size_t s = 0; s < kSequences; ++s)
    for (std::size_t t = 0; t < kTokens; ++t) sequences[s][t] = static_cast<Token>((7 * s + 5 * t + s * t) % vocab);
  return sequences;
}

/// The last block's output, block by block, half by half, each first up to a site within it as a collecting pass does.
std::vector<float> by_blocks(Engine& engine, const std::vector<std::vector<Token>>& sequences,
                             const std::filesystem::path& folder) {
  const std::size_t floats = kTokens * engine.architecture().hidden;
  HiddenStates states(kSequences, floats, folder);
  SideStates side(engine.architecture(), sequences, folder);
  for (std::size_t s = 0; s < kSequences; ++s) {
    engine.embed(sequences[s], states.borrow(s, 1));
    states.keep();
  }
  for (std::size_t b = 0; b < engine.architecture().blocks; ++b)
    for (const Half half : {Half::attention, Half::feed_forward})
      for (const Site last : {half == Half::attention ? Site::o_in : Site::embed_out_in, Site::block_out})
        for (std::size_t s = 0; s < kSequences; s += kTogether) {
          const std::size_t count = std::min(kTogether, kSequences - s);
          Batch batch = engine.make_batch(std::vector<Sequence>(count, Sequence{kTokens}));
          float* const h = states.borrow(s, count);
          side.lend(batch, s, count);
          engine.run_half(half, b, batch, h, h, nullptr, last);
          side.keep(b, half);
          states.keep();
        }
  std::vector<float> result;
  for (std::size_t s = 0; s < kSequences; ++s) {
    const float* const h = states.borrow(s, 1);
    result.insert(result.end(), h, h + floats);
  }
  return result;
}

TEST(SideStates, BlocksRunAloneGiveWhatAForwardPassGives) {
  for (const char* name : {"gemma4_text", "gemma4_text_moe", "llama_tied"}) {
    const model::Model model = model::Model::open(golden_model(name));
    Engine engine(model, kernel::Precision::f32, Residency::one_block);
    const auto sequences = some_sequences(model.architecture().vocab);
    std::vector<Token> tokens;
    for (const auto& sequence : sequences) tokens.insert(tokens.end(), sequence.begin(), sequence.end());
    const std::vector<float> whole = engine.forward(tokens, std::vector<Sequence>(kSequences, Sequence{kTokens}));
    for (const std::filesystem::path& folder : {std::filesystem::path(), std::filesystem::temp_directory_path()}) {
      const std::vector<float> got = by_blocks(engine, sequences, folder);
      ASSERT_EQ(got.size(), whole.size());
      for (std::size_t i = 0; i < whole.size(); ++i)  // sums of other batches are rounded otherwise
        ASSERT_NEAR(got[i], whole[i], 1e-4f * (1.0f + std::abs(whole[i]))) << name << " " << i;
    }
  }
}

TEST(SideStates, SingleSequencesAreLentAsTheyWereKept) {
  const model::Model model = model::Model::open(golden_model("gemma4_text"));
  const auto sequences = some_sequences(model.architecture().vocab);
  const std::size_t floats = kTokens * model.architecture().shared_size;
  for (const std::filesystem::path& folder : {std::filesystem::path(), std::filesystem::temp_directory_path()}) {
    SideStates side(model.architecture(), sequences, folder);
    Batch batch;
    side.lend(batch, 1, 3);
    for (std::size_t i = 0; i < 3 * floats; ++i) batch.shared[i] = static_cast<float>(i);
    side.keep(0, Half::attention);
    side.lend(batch, std::vector<std::size_t>{3, 1});
    std::vector<Token> ids = sequences[3];
    ids.insert(ids.end(), sequences[1].begin(), sequences[1].end());
    EXPECT_EQ(batch.ids, ids);
    for (std::size_t i = 0; i < floats; ++i) {
      ASSERT_EQ(batch.shared[i], static_cast<float>(2 * floats + i));
      ASSERT_EQ(batch.shared[floats + i], static_cast<float>(i));
    }
  }
}

TEST(SideStates, ATokenWithoutARowIsAnError) {
  const model::Model model = model::Model::open(golden_model("gemma4_text"));
  Engine engine(model);
  Batch batch = engine.make_batch(std::vector<Sequence>{{1}});
  batch.ids = {static_cast<Token>(model.architecture().block_embedding.tokens)};
  std::vector<float> h(model.architecture().hidden, 0.5f);
  EXPECT_THROW(engine.feed_forward(0, batch, h.data(), h.data(), nullptr), Error);
}

}  // namespace side_states_test
}  // namespace strata::engine
