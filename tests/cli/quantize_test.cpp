// strata quantize: what it writes, says and never replaces.
#include "cli/fixtures.h"

namespace strata {
namespace quantize_test {

using fixtures::Cli, fixtures::Outcome;
namespace fs = std::filesystem;

TEST_F(Cli, QuantizeWritesACheckpointThatInspectReadsBack) {
  const Outcome outcome = run(std::string(kQuantize) + " --json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const json value = json::parse(outcome.out);
  std::uint64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(folder_ / "out")) bytes += entry.file_size();
  EXPECT_EQ(value["output_bytes"], bytes);
  const json inspected = json::parse(run("inspect out --json").out);
  for (const json& linear : inspected["linears"]) EXPECT_EQ(linear["codec"], "int4_g32");
  EXPECT_DOUBLE_EQ(inspected["linears_of_blocks"]["bits"], value["bits"]);
  const Outcome again = run("quantize out -o out2 --preset uniform:int4_g32 --scale minmax --no-verify");
  EXPECT_EQ(again.exit_code, 0) << again.err;  // from the decoded weights, and with a warning
  EXPECT_NE(again.err.find("quantized already (int4_g32)"), std::string::npos) << again.err;
}

TEST_F(Cli, ADryRunNeedsNoTextUnlessThePlanDoes) {
  // The model has no tokenizer, so that making a calibration text would fail.
  const Outcome dry = run("quantize model -o out --for transformers --preset uniform:int4_g32 --dry-run");
  EXPECT_EQ(dry.exit_code, 0) << dry.err;
  expect_refused("quantize model -o out --for transformers --preset uniform:int4_g32", "tokenizer.json");
}

TEST_F(Cli, ScaledChannelsAreAskedForAndTold) {
  const std::string job = "quantize model -o out --dry-run --for b200 --codecs nvfp4_a4 --preset uniform:nvfp4_a4";
  const auto says = [&](const std::string& options, const std::string& word) {
    const Outcome outcome = run(job + options);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.out.find(word) != std::string::npos;
  };
  EXPECT_TRUE(says("", "smooth 0.5: before rounding, channels are scaled at 6 sites of 2 blocks"));
  EXPECT_TRUE(says(" --smooth 0.7", "smooth 0.7: "));
  EXPECT_FALSE(says(" --smooth none", "smooth"));
  EXPECT_FALSE(says(" --smooth 0", "smooth"));
  EXPECT_EQ(run(job + " --smooth some").exit_code, 2);
  EXPECT_EQ(run(job + " --smooth 1.5").exit_code, 2);
  const Outcome gguf = run("quantize model -o out.gguf --dry-run --preset uniform:q8_0 --smooth 0.5");
  EXPECT_EQ(gguf.exit_code, 2);
  EXPECT_NE(gguf.err.find("--smooth: llama.cpp reads all inputs as they are"), std::string::npos) << gguf.err;
}

TEST_F(Cli, FewBitsByRoundToNearestNameTheBetterMethod) {
  const auto told = [&](const std::string& rest) {
    const Outcome outcome = run("quantize model -o out --for transformers --scale minmax --dry-run " + rest);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.err.find("--method gptq") != std::string::npos;
  };
  EXPECT_TRUE(told("--preset uniform:int2_g32"));
  EXPECT_FALSE(told("--preset uniform:int4_g32"));
}

TEST_F(Cli, TheSameBytesAtAnyThreadCount) {
  ASSERT_EQ(run("quantize model -o a --preset uniform:nvfp4 --scale minmax --no-verify --threads 1").exit_code, 0);
  ASSERT_EQ(run("quantize model -o b --preset uniform:nvfp4 --scale minmax --no-verify --threads 3").exit_code, 0);
  EXPECT_EQ(read_text_file(folder_ / "a/model.safetensors"), read_text_file(folder_ / "b/model.safetensors"));
  EXPECT_EQ(read_text_file(folder_ / "a/config.json"), read_text_file(folder_ / "b/config.json"));
}

TEST_F(Cli, ShardsAreCutAndReadBack) {
  ASSERT_EQ(run(std::string(kQuantize) + " --shard-size 8KiB").exit_code, 0);
  EXPECT_TRUE(fs::exists(folder_ / "out/model.safetensors.index.json"));
  EXPECT_FALSE(fs::exists(folder_ / "out/model.safetensors"));
  EXPECT_EQ(run("inspect out").exit_code, 0);
}

TEST_F(Cli, AnOutputThatExistsNeedsOverwrite) {
  ASSERT_EQ(run(kQuantize).exit_code, 0);
  const Outcome refused = run(kQuantize);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.err.find("--overwrite"), std::string::npos);
  EXPECT_EQ(run(std::string(kQuantize) + " --overwrite").exit_code, 0);
}

TEST_F(Cli, AModelIsNeverReplacedByWhatIsMadeOfIt) {
  const std::string before = read_text_file(model_ / "model.safetensors");
  expect_refused("quantize model -o model/ --preset uniform:int8_channel --overwrite", "is the model itself");
  expect_refused("convert model -o ./model --overwrite", "is the model itself");
  EXPECT_EQ(read_text_file(model_ / "model.safetensors"), before);
}

TEST_F(Cli, AFullDiskLeavesNothingBehind) {
  const std::string command = fmt::format("ulimit -f 8; trap '' XFSZ; cd '{}' && '{}' {} 2>'{}'", folder_.string(),
                                          STRATA_BINARY, kQuantize, (folder_ / "stderr").string());
  const int status = std::system(("bash -c \"" + command + "\"").c_str());
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_NE(read_text_file(folder_ / "stderr").find("writing failed"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder_ / "out"));
  EXPECT_FALSE(fs::exists(folder_ / ".out.part"));
}

}  // namespace quantize_test
}  // namespace strata
