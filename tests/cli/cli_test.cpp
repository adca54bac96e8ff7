// The program as a user runs it: exit codes, what goes to stdout and what to stderr, and bad input of every kind.
// It runs on the tiny golden models, so that it takes seconds.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "cli/plot.h"
#include "core/cpu.h"
#include "core/file.h"
#include "core/json.h"
#include "format/safetensors.h"
#include "model/architecture.h"
#include "model/tensors.h"

namespace strata {
namespace cli_test {

using cli::block_plot, cli::PlotStyle;
namespace fs = std::filesystem;

struct Outcome {
  int exit_code;
  std::string out, err;
};

class Cli : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() / fmt::format("strata-cli-{}-{}", getpid(), info->name());
    fs::create_directories(folder_);
    model_ = folder_ / "model";
    fs::copy(fs::path(STRATA_TEST_DATA) / "golden/models/llama_tied", model_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  Outcome run(const std::string& arguments) const {
    const fs::path out = folder_ / "stdout", err = folder_ / "stderr";
    const std::string command = fmt::format("cd '{}' && '{}' {} >'{}' 2>'{}'", folder_.string(), STRATA_BINARY,
                                            arguments, out.string(), err.string());
    const int status = std::system(command.c_str());
    EXPECT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status) << ": " << arguments;
    return {WEXITSTATUS(status), read_text_file(out), read_text_file(err)};
  }
  /// Expects a sentence with `part` on stderr, and no file left behind but the model's.
  void expect_refused(const std::string& arguments, const std::string& part, int exit_code = 1) const {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, exit_code) << arguments << "\n" << outcome.err;
    EXPECT_NE(outcome.err.find(part), std::string::npos) << arguments << "\n" << outcome.err;
    if (exit_code == 2) {
      EXPECT_EQ(outcome.out, "") << arguments;
    }
    EXPECT_FALSE(fs::exists(folder_ / "out"));
    EXPECT_FALSE(fs::exists(folder_ / ".out.part"));
  }
  void edit_config(const std::function<void(json&)>& edit) const {
    json config = read_json_file(model_ / "config.json");
    edit(config);
    write_json_file(model_ / "config.json", config);
  }
  void edit_weights(const std::function<void(std::string&)>& edit) const {
    std::string bytes = read_text_file(model_ / "model.safetensors");
    edit(bytes);
    std::ofstream(model_ / "model.safetensors", std::ios::binary) << bytes;
  }
  static constexpr const char* kQuantize = "quantize model -o out --preset uniform:int4_g32 --scale minmax --no-verify";

  fs::path folder_, model_;
};

/// Makes `model` a folder of this shape whose weights are holes: zeros that take no space. False where the file system
/// has no files of such a size.
bool write_hollow_model(const fs::path& model, const json& config) {
  const model::Architecture a = model::parse_architecture(config, "config.json");
  std::vector<format::TensorSpec> specs;
  std::uint64_t bytes = 0;
  for (const model::ExpectedTensor& tensor : model::expected_tensors(a)) {
    std::uint64_t count = 1;
    for (const std::uint64_t extent : tensor.shape) count *= extent;
    bytes += 2 * count;
    specs.push_back({tensor.name, DType::bf16, tensor.shape});
  }
  const std::string header = format::safetensors_header(specs);
  write_text_file(model / "model.safetensors", header);
  write_json_file(model / "config.json", config);
  std::error_code code;
  fs::resize_file(model / "model.safetensors", header.size() + bytes, code);
  return !code;
}

TEST_F(Cli, HeadersAreEnoughForAPlanThatNoWeightDecides) {
  const std::string whole = read_text_file(model_ / "model.safetensors");
  edit_weights([](std::string& bytes) {
    std::uint64_t header = 0;
    std::memcpy(&header, bytes.data(), 8);
    bytes.resize(8 + header);
  });
  const json about = json::parse(run("inspect model --json").out);
  EXPECT_EQ(about["complete"], false);
  EXPECT_TRUE(about["fingerprint"].get<std::string>().starts_with("headers:"));
  EXPECT_NE(run("inspect model").out.find("headers only"), std::string::npos);
  for (const char* preset : {"prior --bits 6", "uniform:int4_g32", "prior --for mlx --bits 6"}) {
    const Outcome made = run(fmt::format("plan model -o plan.json --preset {}", preset));
    EXPECT_EQ(made.exit_code, 0) << preset << made.err;
    EXPECT_NE(made.out.find("planned by headers"), std::string::npos) << made.out;
  }
  ASSERT_EQ(run("plan model --preset uniform:int4_g32 -o plan.json").exit_code, 0);
  const std::string incomplete = "is the download complete?";
  write_text_file(folder_ / "text.txt", "some text");
  for (const char* verb :
       {"quantize model -o out --plan plan.json", "score model -o scores.json", "eval model --text text.txt",
        "generate model hello", "convert model -o out", "quantize model -o out --dry-run --bits 5"})
    expect_refused(verb, incomplete);
  edit_weights([&](std::string& bytes) { bytes = whole; });
  EXPECT_EQ(json::parse(run("inspect model --json").out)["complete"], true);
  EXPECT_EQ(run("quantize model -o out --plan plan.json --scale minmax --no-verify").exit_code, 0);
  fs::remove_all(folder_ / "out");
  json plan = read_json_file(folder_ / "plan.json");
  plan["model"]["fingerprint"] = "headers:0123456789abcdef";
  write_json_file(folder_ / "plan.json", plan);
  expect_refused("quantize model -o out --plan plan.json", "another model");
}

TEST_F(Cli, TheHeaderOfAGgufFileIsEnoughLikewise) {
  json letters;
  for (char c = 'a'; c <= 'z'; ++c) letters[std::string(1, c)] = c - 'a';
  const json bpe = {{"type", "BPE"}, {"vocab", letters}, {"merges", json::array()}};
  write_json_file(model_ / "tokenizer.json", {{"version", "1.0"}, {"added_tokens", json::array()}, {"model", bpe}});
  write_json_file(model_ / "tokenizer_config.json", json::object());
  const Outcome converted = run("convert model -o whole.gguf --type f16");
  ASSERT_EQ(converted.exit_code, 0) << converted.err;
  const std::string whole = read_text_file(folder_ / "whole.gguf");
  write_text_file(folder_ / "m.gguf", whole.substr(0, whole.size() - 1000));
  EXPECT_EQ(json::parse(run("inspect m.gguf --json").out)["complete"], false);
  const Outcome made = run("plan m.gguf -o plan.json --preset uniform:q8_0 --for llama.cpp");
  EXPECT_EQ(made.exit_code, 0) << made.err;
  EXPECT_NE(made.out.find("planned by headers"), std::string::npos) << made.out;
  for (const char* verb : {"quantize m.gguf -o out.gguf --plan plan.json", "convert m.gguf -o out"})
    expect_refused(verb, "is the download complete?");
  write_text_file(folder_ / "m.gguf", whole);
  const Outcome quantized = run("quantize m.gguf -o out.gguf --plan plan.json --scale minmax --no-verify");
  EXPECT_EQ(quantized.exit_code, 0) << quantized.err;
}

TEST_F(Cli, PlanOfAModelOf355BillionReadsNoWeightsAndStaysSmall) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "memory and time are those of an optimized build";
#endif
  const json glm = {{"model_type", "glm4_moe"},
                    {"attention_bias", true},
                    {"use_qk_norm", true},
                    {"hidden_size", 5120},
                    {"intermediate_size", 12288},
                    {"num_hidden_layers", 92},
                    {"num_attention_heads", 96},
                    {"num_key_value_heads", 8},
                    {"head_dim", 128},
                    {"vocab_size", 151552},
                    {"max_position_embeddings", 202752},
                    {"rope_theta", 1000000},
                    {"partial_rotary_factor", 0.5},
                    {"n_routed_experts", 160},
                    {"n_shared_experts", 1},
                    {"num_experts_per_tok", 8},
                    {"moe_intermediate_size", 1536},
                    {"first_k_dense_replace", 3},
                    {"norm_topk_prob", true},
                    {"routed_scaling_factor", 2.5}};
  if (!write_hollow_model(model_, glm)) GTEST_SKIP() << "the file system of " << model_ << " has no sparse files";
  const Outcome outcome = run("plan model --preset prior --fit 192GiB --json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const json plan = json::parse(outcome.out);
  EXPECT_EQ(plan["groups"].size(), 92u * 2 + 3 * 2 + 89 * 3 + 1);
  std::uint64_t bytes = 0;
  for (const json& group : plan["groups"]) bytes += group["bytes"].get<std::uint64_t>();
  EXPECT_LT(bytes, std::uint64_t{192} << 30);
  EXPECT_GT(bytes, std::uint64_t{170} << 30);
  rusage used{};
  ASSERT_EQ(getrusage(RUSAGE_CHILDREN, &used), 0);
  constexpr long kibibytes = 1 << 20;  // 1 GiB
  EXPECT_LT(used.ru_maxrss, kibibytes);
  EXPECT_LT(used.ru_utime.tv_sec + used.ru_stime.tv_sec, 60) << "reading 668 GiB would take minutes";
}

TEST_F(Cli, PageOfFamiliesIsTheTableOfTheProgram) {
  const Outcome outcome = run("inspect --families --markdown");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::string page = read_text_file(fs::path(STRATA_TEST_DATA) / "../docs/families.md");
  EXPECT_NE(page.find("\n\n" + outcome.out + "\n"), std::string::npos) << "put this table into docs/families.md:\n"
                                                                       << outcome.out;
}

TEST_F(Cli, PageOfConsumersIsTheTableOfTheProgram) {
  const Outcome outcome = run("inspect --targets --markdown");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::string page = read_text_file(fs::path(STRATA_TEST_DATA) / "../docs/formats/consumers.md");
  EXPECT_NE(page.find("\n\n" + outcome.out + "\n"), std::string::npos)
      << "put this table into docs/formats/consumers.md:\n"
      << outcome.out;
  const json listed = json::parse(run("inspect --targets --json").out);
  const json& vllm = listed["targets"][0];
  EXPECT_EQ(vllm["name"], "vllm");
  EXPECT_EQ(vllm["codecs"]["int3_g64"]["dense"], true);
  EXPECT_EQ(vllm["codecs"]["int3_g64"]["least_version"], "vLLM 0.25");
  EXPECT_TRUE(vllm["codecs"]["int3_channel"]["experts"].is_string());
  expect_refused("inspect model --targets", "leave out model", 2);
}

TEST_F(Cli, FamiliesAreListedWithoutAModel) {
  const json listed = json::parse(run("inspect --families --json").out);
  EXPECT_GT(listed["families"].size(), 30u);
  std::map<std::string, json> by_type;
  for (const json& family : listed["families"]) by_type[family["model_type"]] = family;
  EXPECT_EQ(by_type["llama"]["tune"], true);
  EXPECT_EQ(by_type["gemma4_text"]["tune"], true);
  EXPECT_EQ(by_type["llama"]["vllm_fusion"], json({"qkv_proj", "gate_up_proj"}));
  EXPECT_EQ(by_type["gpt_oss"]["vllm_fusion"], json({"qkv_proj", "experts"}));
  EXPECT_EQ(by_type["phi3"]["vllm_fusion"], json::array());
  EXPECT_EQ(by_type["qwen3_moe"]["gguf"], "qwen3moe");
  EXPECT_EQ(by_type["qwen3_moe"]["mlx"], true);
  EXPECT_EQ(by_type["arcee"]["mlx"], false);
  EXPECT_EQ(by_type["mistral"]["also"], json({"mistral3", "ministral"}));
  expect_refused("inspect model --families", "leave out model", 2);
  expect_refused("inspect", "MODEL is required", 2);
  expect_refused("inspect model --markdown", "--markdown is for --families", 2);
}

TEST_F(Cli, TheVersionSaysWhichKernelsWereChosen) {
  EXPECT_EQ(run("--version").exit_code, 0);
  const Outcome verbose = run("--version --verbose");
  EXPECT_EQ(verbose.exit_code, 0);
  EXPECT_NE(verbose.out.find("products in bf16 by"), std::string::npos) << verbose.out;
  EXPECT_NE(verbose.out.find(", chosen"), std::string::npos) << verbose.out;
  const json value = parse_json(run("--json --verbose --version").out, "the version");
  EXPECT_FALSE(value.at("version").get<std::string>().empty());
  EXPECT_FALSE(value.at("products_bf16").empty());
}

TEST_F(Cli, EventsAreLinesOfJsonAndNothingElse) {
  const Outcome outcome = run(std::string(kQuantize) + " --events");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  std::set<std::string> kinds;
  std::istringstream lines(outcome.err);
  for (std::string line; std::getline(lines, line);)
    kinds.insert(parse_json(line, line).at("event").get<std::string>());
  EXPECT_EQ(kinds, (std::set<std::string>{"estimate", "progress", "remark", "stage_end", "written"})) << outcome.err;
}

TEST_F(Cli, HelpListsEveryVerbAndEveryVerbHasExamples) {
  const Outcome help = run("--help");
  EXPECT_EQ(help.exit_code, 0);
  for (const char* verb : {"inspect", "score", "plan", "quantize", "tune", "eval", "sweep", "report", "generate",
                           "chat", "convert", "bench"}) {
    EXPECT_NE(help.out.find(std::string("\n  ") + verb), std::string::npos) << verb;
    const Outcome of_verb = run(std::string(verb) + " --help");
    EXPECT_EQ(of_verb.exit_code, 0);
    EXPECT_NE(of_verb.out.find("Examples:"), std::string::npos) << verb;
  }
}

TEST_F(Cli, WrongCommandLinesExitWithTwo) {
  expect_refused("", "give a verb", 2);
  expect_refused("quantise model", "did you mean quantize?", 2);
  expect_refused("quantize model -o out --sise 110MiB", "did you mean --size?", 2);
  expect_refused("frobnicate", "strata", 2);
  expect_refused("inspect", "MODEL", 2);
  expect_refused("inspect model --threads=-1", "threads", 2);
  expect_refused("quantize model -o out", "budget", 2);
  expect_refused("quantize model -o out --bits 4 --size 1MiB", "contradict", 2);
  expect_refused("quantize model -o out --size lots", "not a size", 2);
  expect_refused("quantize model -o out --preset worst --scale minmax", "unknown", 2);
  expect_refused("quantize model -o out --bits 4 --for abacus", "unknown target", 2);
  expect_refused("quantize model -o out --bits 4 --assign foo", "REGEX=CODEC", 2);
  expect_refused("plan model --bits 5", "--scores", 2);
  for (const char* bits : {"0", "-4", "nan", "inf", "x"})
    expect_refused(fmt::format("plan model --preset prior --bits={}", bits), "--bits", 2);
  for (const char* size : {"0", "-1GiB", "nan", "8Gib8"}) {
    expect_refused(fmt::format("plan model --preset prior --size={}", size), "--size", 2);
    expect_refused(fmt::format("plan model --preset prior --fit={}", size), "--fit", 2);
  }
  expect_refused("plan model --preset prior --bits 5 --fit 1GiB", "contradict", 2);
  expect_refused("plan model --preset prior --bits 5 --ctx 100", "--fit", 2);
  expect_refused("plan model --preset prior --bits 5 --search-steps 3", "preset best", 2);
  expect_refused("plan model --scores x --bits 5 --search-time soon", "--search-time", 2);
  expect_refused("plan model --preset uniform:int4_g32 --levels int4_g32:1,int2_g32", "lwq", 2);
  expect_refused("plan model --preset lwq --levels int4_g32", "two levels", 2);
  expect_refused("plan model --preset prior --bits 5 --prior model/config.json", "strata prior");
  expect_refused("plan model --preset prior --bits 5 --at-least q_proj", "REGEX=CODEC", 2);
  expect_refused("quantize model -o out --bits 5 --codecs int9_g7", "int9_g7");
  expect_refused("quantize model -o out --bits 3 --for vllm:marlin", "smallest plan");
}

TEST_F(Cli, InspectTellsWhatAModelIs) {
  const Outcome outcome = run("inspect model --json");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const json value = json::parse(outcome.out);
  EXPECT_EQ(value["architecture"]["model_type"], "llama");
  EXPECT_EQ(value["linears"].size(), 14u);
  EXPECT_EQ(run("inspect model").exit_code, 0);
  EXPECT_EQ(run("inspect model --tensors").exit_code, 0);
}

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

TEST_F(Cli, TuneRefusesWhatItCannotWrite) {
  expect_refused("tune model -o out", "--ref", 2);
  expect_refused("tune model --ref model -o out.gguf", "must not end in .gguf", 2);
  expect_refused("tune model --ref nowhere -o out", "nowhere");
  expect_refused("tune model --ref model -o out --rate 0", "--rate", 2);
  fs::create_directories(folder_ / "there");
  expect_refused("tune model --ref model -o there", "exists");
}

TEST_F(Cli, BracketsOfAWordAreKept) {
  const std::string plan = "plan model --preset uniform:int4_g32 --json --keep ";
  for (const char* keep : {"'[qk]_proj|[o]'", "'[o],?[_]'", "'[o]_proj[.]?' --keep=[o]"}) {
    const Outcome outcome = run(plan + keep);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }
  const json groups = json::parse(run(plan + "'[o][_]'").out)["groups"];
  for (const json& group : groups)
    EXPECT_EQ(group["codec"] == "keep", group["name"].get<std::string>().find("o_") != std::string::npos) << group;
  expect_refused("inspect model '[extra]'", "'[extra]' is one argument too many", 2);
}

TEST_F(Cli, NamesThatAreNotUtf8AreNames) {
  const std::string odd = "\xFF";
  fs::copy(model_, folder_ / ("m" + odd));
  const Outcome outcome =
      run(fmt::format("quantize 'm{}' -o 'out{}' --preset uniform:int4_g32 --scale minmax "
                      "--no-verify --no-report",
                      odd, odd));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(fs::exists(folder_ / ("out" + odd) / "config.json"));
}

TEST_F(Cli, TheSameBytesAtAnyThreadCount) {
  ASSERT_EQ(run("quantize model -o a --preset uniform:nvfp4 --scale minmax --no-verify --threads 1").exit_code, 0);
  ASSERT_EQ(run("quantize model -o b --preset uniform:nvfp4 --scale minmax --no-verify --threads 3").exit_code, 0);
  EXPECT_EQ(read_text_file(folder_ / "a/model.safetensors"), read_text_file(folder_ / "b/model.safetensors"));
  EXPECT_EQ(read_text_file(folder_ / "a/config.json"), read_text_file(folder_ / "b/config.json"));
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

TEST_F(Cli, QuantizeLeavesAReportBesideItsOutput) {
  ASSERT_EQ(run(kQuantize).exit_code, 0);
  const json data = read_json_file(folder_ / "out.report.json");
  EXPECT_EQ(data["plan"]["command"], std::string("strata ") + kQuantize);
  EXPECT_EQ(data["output"]["path"], "out");
  EXPECT_FALSE(fs::exists(folder_ / "out/report.html"));
  fs::remove_all(folder_ / "out.report.json");
  ASSERT_EQ(run(std::string(kQuantize) + " --overwrite --no-report").exit_code, 0);
  EXPECT_FALSE(fs::exists(folder_ / "out.report.json"));
}

TEST_F(Cli, ReportGathersWhatIsThere) {
  ASSERT_EQ(run(std::string(kQuantize) + " --no-report").exit_code, 0);
  const Outcome bare = run("report out --json");
  if (bare.err.find("STRATA_REPORT") != std::string::npos) GTEST_SKIP() << "built without the page";
  ASSERT_EQ(bare.exit_code, 0) << bare.err;
  EXPECT_EQ(json::parse(bare.out)["plan"]["groups"][0]["codec"], "int4_g32");
  EXPECT_TRUE(fs::exists(folder_ / "out.report.html"));
  const json out = {{"path", "out"}, {"fingerprint", json::parse(run("inspect out --json").out)["fingerprint"]}};
  const json original = {{"path", "model"},
                         {"fingerprint", json::parse(run("inspect model --json").out)["fingerprint"]}};
  json evaluation = {
      {"format", "strata evaluation"}, {"version", 1}, {"perplexity", 9.5}, {"model", out}, {"ref_model", original}};
  evaluation["text"] = {{"file", "<b>"}, {"samples", 2}, {"seq_len", 8}};
  write_json_file(folder_ / "eval.json", evaluation);
  const Outcome more = run("report out --ref model --eval eval.json -o page.html --json");
  ASSERT_EQ(more.exit_code, 0) << more.err;
  EXPECT_EQ(json::parse(more.out)["evaluations"][0]["text"], "2 x 8 tokens of <b>");
  EXPECT_EQ(json::parse(more.out)["model"]["name"], "model");
  EXPECT_EQ(read_text_file(folder_ / "page.html").find("of <b>"), std::string::npos);
  EXPECT_EQ(json::parse(run("report out --json").out)["evaluations"].size(), 1u) << "it is kept beside the output";

  const auto refused = [&](const std::string& arguments, const char* part, int exit_code = 1) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, exit_code) << arguments;
    EXPECT_NE(outcome.err.find(part), std::string::npos) << arguments << "\n" << outcome.err;
  };
  refused("report nowhere", "does not exist");
  refused("report out --scores scores.json", "--ref", 2);
  refused("report out --eval out/config.json", "not an evaluation");
  refused("report out --sweep eval.json", "not a sweep");
  refused("report out --ref out --texts", "not the original");
  const auto refuses_changed = [&](const char* key, const json& value, const char* part) {
    json changed = evaluation;
    changed[key] = value;
    write_json_file(folder_ / "changed.json", changed);
    refused("report out --eval changed.json", part);
  };
  refuses_changed("model", original, "is the evaluation of model");
  refuses_changed("ref_model", out, "another original");
  refuses_changed("format", json(), "evaluate again");
  ASSERT_EQ(run("plan model --preset uniform:int8_g32 -o other.json").exit_code, 0);
  refused("report out --ref model --plan other.json", "give the plan that out was made with");
  ASSERT_EQ(
      run("quantize model -o out --preset uniform:nvfp4 --scale minmax --no-verify --no-report --overwrite").exit_code,
      0);
  refused("report out", "another checkpoint");
}

TEST_F(Cli, EarlierNamesOfOptionsAreStillRead) {
  for (const char* arguments :
       {"eval model --text nothing.txt --samples 1 --seq-len 64", "eval model --text nothing.txt --chunks 1 --n-ctx 64",
        "generate model hello --max-tokens 4", "generate model --prompt hello -n 4",
        "generate model --prompt hello --tokens 4"}) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, 1) << arguments;
    EXPECT_NE(outcome.err.find("tokenizer.json"), std::string::npos) << arguments << "\n" << outcome.err;
  }
  EXPECT_EQ(run("eval --help").out.find("--n-ctx"), std::string::npos);
  EXPECT_EQ(run("generate --help").out.find("--tokens"), std::string::npos);
  expect_refused("generate model", "give a prompt", 2);
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

TEST_F(Cli, PlansRoundTripAndEditedOnesAreChecked) {
  ASSERT_EQ(run("plan model --preset uniform:int8_g32 -o plan.json").exit_code, 0);
  ASSERT_EQ(run("quantize model -o out --plan plan.json --scale minmax --no-verify").exit_code, 0);
  fs::remove_all(folder_ / "out");
  json plan = read_json_file(folder_ / "plan.json");
  plan["groups"][0]["codec"] = "int2_g32";
  write_json_file(folder_ / "plan.json", plan);
  expect_refused("quantize model -o out --plan plan.json --scale minmax --for vllm:marlin",
                 "targets that can: vllm, vllm:sm75, vllm:sm80, vllm:sm89, vllm:sm100, transformers");
  std::ofstream(folder_ / "plan.json") << "{\"kind\": \"strata pl";
  expect_refused("quantize model -o out --plan plan.json --scale minmax", "JSON");
}

TEST_F(Cli, PlansAreExportedToOtherTools) {
  ASSERT_EQ(run("plan model --preset prior --bits 6 --codecs int4_g32,int8_g32,keep -o plan.json").exit_code, 0);
  for (const char* tool : {"llm-compressor", "auto-round", "gptqmodel"}) {
    const Outcome outcome = run(fmt::format("export-plan plan.json --to {} --model model", tool));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_TRUE(json::parse(outcome.out).is_object());
  }
  expect_refused("export-plan plan.json --to llama-quantize", "--for llama.cpp");
  expect_refused("export-plan plan.json --to abacus", "expected one of", 2);
  json gguf = read_json_file(folder_ / "plan.json");
  for (json& group : gguf["groups"]) group["codec"] = "q8_0";
  write_json_file(folder_ / "gguf.json", gguf);
  const Outcome types = run("export-plan gguf.json --to llama-quantize");
  EXPECT_NE(types.out.find("^blk\\.1\\.ffn_down\\.weight$=q8_0\n"), std::string::npos) << types.out;
  json plan = read_json_file(folder_ / "plan.json");
  const auto refused = [&](const std::function<void(json&)>& edit, const char* part) {
    json edited = plan;
    edit(edited);
    write_json_file(folder_ / "edited.json", edited);
    expect_refused("export-plan edited.json --to auto-round", part);
  };
  refused([](json& p) { p["groups"][0]["codec"] = "int9"; }, "int9");
  refused([](json& p) { p["groups"][0].erase("linears"); }, "linears");
  refused([](json& p) { p["groups"][1]["linears"] = p["groups"][0]["linears"]; }, "two groups");
  refused([](json& p) { p["format"] = "recipe"; }, "not a plan");
  refused([](json& p) { p["groups"] = 3; }, "groups");
}

TEST_F(Cli, PlansAreExplained) {
  const Outcome outcome = run("plan model --preset prior --bits 6 --codecs int4_g32,int8_g32,keep --explain --json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const json value = json::parse(outcome.out);
  EXPECT_EQ(value["explanation"].size(), value["groups"].size());
  const Outcome shown = run("plan model --preset prior --bits 6 --codecs int4_g32,int8_g32,keep --explain");
  EXPECT_NE(shown.out.find("next better"), std::string::npos);
  EXPECT_NE(shown.out.find("nominal"), std::string::npos);
}

TEST_F(Cli, MissingThingsAreNamed) {
  expect_refused("inspect nowhere", "does not exist");
  expect_refused("inspect model/model.safetensors", "neither a folder nor a GGUF");
  expect_refused("quantize model -o missing/out --preset uniform:int4_g32 --scale minmax --no-verify",
                 "does not exist");
  expect_refused("eval model --text nothing.txt", "tokenizer.json");
  fs::remove(model_ / "model.safetensors");
  expect_refused("inspect model", "safetensors");
  fs::remove(model_ / "config.json");
  expect_refused("inspect model", "config.json");
}

TEST_F(Cli, AConfigThatDisagreesWithTheTensorsIsRefused) {
  const json original = read_json_file(model_ / "config.json");
  const auto refused = [&](const char* key, const json& value, const char* part) {
    edit_config([&](json& config) { config[key] = value; });
    expect_refused(kQuantize, part);
    write_json_file(model_ / "config.json", original);
  };
  refused("hidden_size", 64, "shape");
  refused("num_hidden_layers", 9, "is missing");
  refused("num_hidden_layers", 1, "not part of");
  refused("intermediate_size", 1ull << 40, "intermediate_size");
  refused("model_type", "t5", "known are");
  refused("vocab_size", -4, "vocab_size");
}

TEST_F(Cli, DamagedWeightsAreRefusedWithTheirPlace) {
  const std::string whole = read_text_file(model_ / "model.safetensors");
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{4}, std::size_t{100}, whole.size() / 2, whole.size() - 1}) {
    std::ofstream(model_ / "model.safetensors", std::ios::binary) << whole.substr(0, size);
    expect_refused(kQuantize, "model.safetensors");
  }
  std::ofstream(model_ / "model.safetensors", std::ios::binary) << whole;
  std::uint64_t header = 0;
  std::memcpy(&header, whole.data(), 8);
  const json tensors = json::parse(whole.substr(8, header));
  const std::string name = "model.layers.1.mlp.down_proj.weight";
  const std::size_t at = 8 + header + tensors[name]["data_offsets"][0].get<std::size_t>();
  edit_weights([&](std::string& bytes) { bytes.replace(at + 4, 2, "\xFF\x7F"); });
  expect_refused(kQuantize, name + ": weight [0, 2] is nan");
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

TEST_F(Cli, ABudgetThatCannotBeMetNamesTheSmallest) {
  expect_refused("plan model --preset uniform:int4_g32 --bits 3", "smallest plan");
}

TEST_F(Cli, AnInstructionSetThatIsUnknownOrUnsupportedIsAnError) {
  EXPECT_EQ(setenv("STRATA_ISA", "abacus", 1), 0);
  expect_refused("inspect model", "abacus");
  for (const Isa isa : {Isa::avx2, Isa::avx512, Isa::avx512bf16, Isa::amx}) {
    if (isa_runs_here(isa)) continue;
    EXPECT_EQ(setenv("STRATA_ISA", std::string(isa_name(isa)).c_str(), 1), 0);
    expect_refused("inspect model", fmt::format("STRATA_ISA={}: unsupported here", isa_name(isa)));
  }
  unsetenv("STRATA_ISA");
}

}  // namespace cli_test
}  // namespace strata
