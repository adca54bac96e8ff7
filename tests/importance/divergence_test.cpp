// On a tiny random model the divergence meter gives zero for the original, and the same value from any block that
// covers the change. alpha and every measured cost depend on it.
#include "importance/divergence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "support/random_tokens.h"

namespace strata::importance {
namespace divergence_test {

struct Fixture {
  explicit Fixture(const std::string& name = "llama_untied_sharded")
      : model(model::Model::open(std::filesystem::path(STRATA_TEST_DATA) / "golden/models" / name)) {}
  model::Model model;
  engine::Engine engine{model};
  CalibrationSet set = random_tokens(model.architecture().vocab, 3, 24, 11);
  InputMeanSquare inputs = input_mean_square(engine, set);
  engine::Replacing replacing{engine};
  const model::Architecture& a = model.architecture();

  RoundedGroup rounded(std::size_t group, const char* codec) const {
    return {model, a.groups[group], codec::by_name(codec), inputs};
  }
};

double sum(const std::vector<double>& values) {
  double total = 0;
  for (const double value : values) total += value;
  return total;
}

TEST(Divergence, OfTheOriginalIsZeroFromEveryBlock) {
  Fixture f;
  DivergenceMeter meter(f.engine, f.set, 48);
  EXPECT_EQ(meter.tokens(), 48u);
  for (std::size_t block = 0; block <= f.a.blocks; ++block)
    for (const double value : meter.measure(block)) EXPECT_EQ(value, 0.0);
}

TEST(Divergence, IsTheSameFromEveryBlockUpToTheChange) {
  Fixture f;
  DivergenceMeter meter(f.engine, f.set, 72);
  const std::size_t last = f.a.blocks - 1;
  const auto group =
      static_cast<std::size_t>(std::ranges::find(f.a.groups, last, &model::FusionGroup::block) - f.a.groups.begin());
  const RoundedGroup rounded = f.rounded(group, "int2_channel");
  rounded.put_into(f.replacing);
  const std::vector<double> expected = meter.measure(0);
  EXPECT_GT(sum(expected), 0.0);
  EXPECT_EQ(meter.measure(last), expected);
  restore(f.replacing, f.a.groups[group]);
  EXPECT_EQ(sum(meter.measure(0)), 0.0);
}

TEST(Divergence, OfBlocksThatReadEarlierKeysIsTheSameFromEveryBlock) {
  Fixture f("gemma4_text");  // blocks 2 and 3 read keys of blocks 0 and 1
  DivergenceMeter meter(f.engine, f.set, 72);
  for (std::size_t block = 0; block <= f.a.blocks; ++block) EXPECT_EQ(sum(meter.measure(block)), 0.0) << block;
  for (std::size_t g = 0; g < f.a.groups.size(); ++g) {
    const RoundedGroup rounded = f.rounded(g, "int3_channel");
    rounded.put_into(f.replacing);
    const std::vector<double> expected = meter.measure(0);
    EXPECT_GT(sum(expected), 0.0) << f.a.groups[g].name;
    EXPECT_EQ(meter.measure(f.a.groups[g].block), expected) << f.a.groups[g].name;
    restore(f.replacing, f.a.groups[g]);
  }
  const RoundedGroup below = f.rounded(0, "int3_channel");
  below.put_into(f.replacing);
  const std::vector<double> expected = meter.measure(0);
  meter.rebase(0);
  EXPECT_EQ(meter.measure(2), expected) << "keys of block 0 as they are now";
}

TEST(Divergence, NextTokensAreScoredAndBlocksCanBeCut) {
  Fixture f;
  DivergenceMeter meter(f.engine, f.set, 48);
  const std::vector<double> original = meter.nll();
  ASSERT_EQ(original.size(), 46u);  // the last token of each sequence has no next
  meter.measure(1);
  EXPECT_EQ(meter.nll(), original);
  std::vector<bool> blocks(f.a.blocks, false);
  blocks[1] = true;
  meter.cut(blocks);
  EXPECT_GT(sum(meter.measure(0)), 0.0);
  EXPECT_NE(meter.nll(), original);
  meter.cut({});
  EXPECT_EQ(sum(meter.measure(0)), 0.0);
}

TEST(Divergence, AfterRebasingChangesBelowAreIncluded) {
  Fixture f;
  DivergenceMeter meter(f.engine, f.set, 24);
  const RoundedGroup below = f.rounded(0, "int3_channel");
  below.put_into(f.replacing);
  const std::vector<double> expected = meter.measure(0);
  EXPECT_EQ(sum(meter.measure(f.a.blocks)), 0.0);
  meter.rebase(0);
  EXPECT_EQ(meter.measure(f.a.blocks), expected);
}

TEST(Divergence, FromChangesIsThatOfTheWholeProducts) {
  Fixture f;
  DivergenceMeter whole(f.engine, f.set, 72), changes(f.engine, f.set, 72, MeterProducts::changes);
  const std::pair<const char*, double> codecs[] = {
      {"int2_channel", 0.1}, {"int4_channel", 0.03}, {"int8_channel", 3e-3}};
  for (const auto& [codec, most] : codecs)
    for (std::size_t g = 0; g < f.a.groups.size(); ++g) {
      const std::size_t first = std::min(f.a.groups[g].block, f.a.blocks);
      const RoundedGroup rounded = f.rounded(g, codec);
      rounded.put_into(f.replacing);
      const double expected = sum(whole.measure(first)), got = sum(changes.measure(first));
      EXPECT_NEAR(got, expected, 5e-3 * expected + 2e-7 * 72) << f.a.groups[g].name << " " << codec;
      ASSERT_EQ(changes.nll().size(), whole.nll().size());
      for (std::size_t i = 0; i < whole.nll().size(); ++i) EXPECT_NEAR(changes.nll()[i], whole.nll()[i], most);
      restore(f.replacing, f.a.groups[g]);
    }
  for (std::size_t block = 0; block <= f.a.blocks; ++block)
    for (const double value : changes.measure(block)) EXPECT_EQ(value, 0.0);
}

TEST(Divergence, OfSequencesIsTheMeanOfTheirTokens) {
  Fixture f;
  DivergenceMeter meter(f.engine, f.set, 48);
  const RoundedGroup rounded = f.rounded(0, "int3_channel");
  rounded.put_into(f.replacing);
  const std::vector<double> tokens = meter.measure(0), sequences = meter.measure_sequences(0);
  ASSERT_EQ(sequences.size(), 2u);
  EXPECT_NEAR(24 * (sequences[0] + sequences[1]), sum(tokens), 1e-12);
}

}  // namespace divergence_test
}  // namespace strata::importance
