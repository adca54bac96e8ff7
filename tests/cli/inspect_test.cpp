// strata inspect: what a model is, in words and in pictures of characters.
#include "cli/fixtures.h"
#include "cli/plot.h"

namespace strata {
namespace inspect_test {

using cli::block_plot, cli::PlotStyle;
using fixtures::Cli, fixtures::Outcome;

TEST_F(Cli, InspectTellsWhatAModelIs) {
  const Outcome outcome = run("inspect model --json");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const json value = json::parse(outcome.out);
  EXPECT_EQ(value["architecture"]["model_type"], "llama");
  EXPECT_EQ(value["linears"].size(), 14u);
  EXPECT_EQ(run("inspect model").exit_code, 0);
  EXPECT_EQ(run("inspect model --tensors").exit_code, 0);
}

TEST_F(Cli, InspectPlotsInBlockCharacters) {
  const Outcome bits = run("inspect model --plot");
  EXPECT_EQ(bits.exit_code, 0) << bits.err;
  for (const char* part : {"bits by block", "\ndown ", "▅▅", "all 16 bits"})
    EXPECT_NE(bits.out.find(part), std::string::npos) << part << " in\n" << bits.out;
  EXPECT_EQ(bits.out.find('\x1b'), std::string::npos) << "colour without a terminal";
  const PlotStyle shaded{"nats", false, true, 14};
  const std::string map = block_plot({{"q", {1.0, 2.0, std::nullopt, 4.0, 5.0, 8.0}}, {"down", {8.0, 8.0}}}, shaded);
  EXPECT_NE(map.find("block 5\nq     \x1b[38;5;228m█\x1b[0m\n"), std::string::npos) << "wraps: " << map;
  EXPECT_NE(map.find("▁ 1   █ 8 nats\n"), std::string::npos) << map;
  const std::string turned = block_plot({{"q", {1.0, 1000.0}}}, {"", true});
  EXPECT_NE(turned.find("q     ██ ▁▁\n▁ 1000   █ 1  (by decades)\n"), std::string::npos) << turned;
  expect_refused("inspect model --scores scores.json", "--plot", 2);
  expect_refused("inspect model --plot --scores nowhere.json", "nowhere.json");
}

}  // namespace inspect_test
}  // namespace strata
